// Filters claims by verdict; with no button pressed all claims are shown, as without this script.
const filter = document.getElementById("filter");
if (filter) {
  const buttons = [...filter.querySelectorAll("button")];
  const rows = [...document.querySelectorAll("tr[data-kinds]")];
  filter.hidden = false;
  filter.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
    const wanted = buttons.filter((each) => each.getAttribute("aria-pressed") === "true").map((each) => each.value);
    for (const row of rows) row.hidden = wanted.length > 0 && !wanted.some((kind) => row.dataset.kinds.split(" ").includes(kind));
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = `${shown} of ${rows.length} claims`;
  });
}
