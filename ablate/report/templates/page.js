const options = { mode: "vega-lite", renderer: "svg", actions: false };
for (const spec of document.querySelectorAll("script[id^=spec-]")) {
  const shown = document.getElementById(spec.id.replace("spec-", "chart-"));
  const drawn = document.createElement("div");
  drawn.ariaHidden = "true"; // the element around it is the image, with what it shows in words
  window.vegaEmbed(drawn, JSON.parse(spec.textContent), options).then(() => shown.replaceChildren(drawn));
}
