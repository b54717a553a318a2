// Draws the charts, and picks a cell by a click in a chart or on its button in a table; a second click or Escape shows
// all cells again.
const options = { mode: "vega-lite", renderer: "svg", actions: false, tooltip: { theme: "custom" } };
const labels = JSON.parse(document.getElementById("cell-labels").textContent);
const showing = document.getElementById("showing");
const views = new Map();
let picked = -1;

function fitted(spec, room, excess = 0) {
  // A chart fills its place, up to a width at which it is still easy to read; facets are laid out in fewer columns.
  const { fluid, most } = spec.usermeta ?? {};
  if (fluid === "width") spec.width = Math.max(120, Math.min(most ?? spec.width, room - 60) - excess);
  else if (fluid === "rows") for (const each of spec.vconcat) each.width = Math.max(120, Math.min(most, room - 60) - excess);
  else if (fluid === "columns") {
    const parts = spec.concat ?? [spec.spec];
    if (typeof parts[0].width === "number") {
      spec.columns = Math.max(1, Math.min(spec.columns, spec.concat?.length ?? spec.columns, Math.floor(room / (parts[0].width + 90))));
      const share = room / spec.columns - 75;
      for (const each of parts) each.width = Math.max(120, Math.min(most ?? each.width, share) - excess / spec.columns);
    } else spec.columns = room < 700 ? 1 : spec.columns;
  }
  return spec;
}

function unfold(element) {
  for (let each = element; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
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

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link) unfold(document.getElementById(link.getAttribute("href").slice(1)));
});
if (location.hash) unfold(document.getElementById(decodeURIComponent(location.hash.slice(1))));

async function draw(source) {
  const shown = document.getElementById(source.id.replace("spec-", "chart-"));
  const drawn = document.createElement("div");
  drawn.ariaHidden = "true"; // the surrounding element is the image, with a label that describes it
  const room = shown.clientWidth;
  if (!room) return false; // inside of a folded section
  let spec = fitted(JSON.parse(source.textContent), room);
  let view = (await window.vegaEmbed(drawn, spec, options)).view;
  const excess = Number(drawn.querySelector("svg").getAttribute("width")) - room;
  if (excess > 0 && spec.usermeta?.fluid) { // its labels took more room than was left for them
    spec = fitted(JSON.parse(source.textContent), room, excess);
    view = (await window.vegaEmbed(drawn, spec, options)).view;
  }
  shown.replaceChildren(drawn);
  if (!spec.params) return true; // a chart without cells
  views.set(source.id, view);
  view.addEventListener("click", (event, item) => {
    const cell = item?.datum?.cell ?? item?.datum?.datum?.cell;
    if (cell >= 0) pick(cell);
  });
  if (picked >= 0) view.signal("picked", picked).runAsync();
  return true;
}

const waiting = new Set(document.querySelectorAll("script[id^=spec-]"));
function drawAll() {
  for (const source of waiting) {
    waiting.delete(source);
    draw(source).then((done) => done || waiting.add(source));
  }
}
drawAll();
for (const each of document.querySelectorAll("details.comparisons")) each.addEventListener("toggle", drawAll);
