// In watch mode only: reloads the page unless it is in use, and restores the scroll position.
const seconds = Number(document.getElementById("reload").dataset.seconds);
const place = `ablate ${location.pathname}`;
let touched = 0;
for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"])
  addEventListener(kind, () => (touched = Date.now()), { passive: true });
const open = () => [...document.querySelectorAll("details")].map((each) => each.open);
try {
  const before = JSON.parse(sessionStorage.getItem(place));
  if (before) {
    document.querySelectorAll("details").forEach((each, number) => (each.open = before.open[number] ?? each.open));
    scrollTo(before.x, before.y);
  }
} catch {
  // a browser without storage for local files starts at the top
}
setInterval(() => {
  if (document.hidden || Date.now() - touched < 1000 * seconds) return;
  try {
    sessionStorage.setItem(place, JSON.stringify({ x: scrollX, y: scrollY, open: open() }));
  } catch {
    // as above
  }
  location.reload();
}, 1000 * seconds);
