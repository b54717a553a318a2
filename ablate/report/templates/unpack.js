// Vega is embedded compressed, at less than half of its size; the first drawing waits until it is decompressed.
const unpacked = (async () => {
  const packed = atob(document.getElementById("vega").textContent);
  const bytes = Uint8Array.from(packed, (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Function(await new Response(stream).text())(); // it sets window.vegaEmbed
  return window.vegaEmbed;
})();
window.vegaEmbed = async (...given) => (await unpacked)(...given);
