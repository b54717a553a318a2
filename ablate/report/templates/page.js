// The charts, and the picking of a cell: in a chart, or with its button in a table; again, or Escape, shows all.
const options = { mode: "vega-lite", renderer: "svg", actions: false, tooltip: { theme: "custom" } };
const labels = JSON.parse(document.getElementById("cell-labels").textContent);
const showing = document.getElementById("showing");
const views = new Map();
let picked = -1;

function fitted(spec, room) {
  // Large charts shrink to what there is; of small ones fewer stand beside each other.
  if (spec.usermeta?.fluid === "width") {
    const margin = 110;
    spec.width = Math.max(180, Math.min(spec.width, room - margin));
  } else if (spec.usermeta?.fluid === "columns") {
    const small = spec.concat?.[0] ?? spec.spec;
    if (typeof small.width === "number") {
      for (const each of spec.concat ?? [spec.spec]) each.width = Math.max(180, Math.min(each.width, room - 90));
      spec.columns = Math.max(1, Math.floor(room / (small.width + 90)));
    } else spec.columns = room < 700 ? 1 : spec.columns;
  }
  return spec;
}

function pick(cell) {
  picked = cell === picked ? -1 : cell;
  for (const view of views.values()) view.signal("picked", picked).runAsync();
  for (const row of document.querySelectorAll("tr[data-cell]")) {
    const own = Number(row.dataset.cell) === picked;
    row.classList.toggle("picked", own);
    row.hidden = picked >= 0 && !own && row.closest("#trials") !== null;
  }
  for (const button of document.querySelectorAll("button[data-cell]"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.cell) === picked));
  showing.textContent = picked < 0 ? "Showing all cells." : `Showing ${labels[picked]}. Escape shows all cells.`;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-cell]");
  if (button) pick(Number(button.dataset.cell));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && picked >= 0) pick(picked);
});
for (const button of document.querySelectorAll("button[data-cell]")) button.disabled = false;

for (const spec of document.querySelectorAll("script[id^=spec-]")) {
  const shown = document.getElementById(spec.id.replace("spec-", "chart-"));
  const drawn = document.createElement("div");
  drawn.ariaHidden = "true"; // the element around it is the image, with what it shows in words
  const room = shown.parentElement.parentElement.clientWidth;
  const parsed = JSON.parse(spec.textContent);
  window.vegaEmbed(drawn, fitted(parsed, room), options).then(({ view }) => {
    shown.replaceChildren(drawn);
    if (!parsed.params) return; // a chart of no cells
    views.set(spec.id, view);
    view.addEventListener("click", (event, item) => {
      const cell = item?.datum?.cell ?? item?.datum?.datum?.cell;
      if (cell >= 0) pick(cell);
    });
    if (picked >= 0) view.signal("picked", picked).runAsync();
  });
}
