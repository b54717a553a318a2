// In watch mode only: the page loads itself again, but not while someone is at it, and stays where it was.
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
  // a browser that keeps nothing for files starts at the top
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
