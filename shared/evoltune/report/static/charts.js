"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const specs = JSON.parse(document.getElementById("charts").textContent);

function draw() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim();
  const line = style.getPropertyValue("--line").trim();
  const config = {
    background: "transparent", font: "system-ui, sans-serif", view: { stroke: null },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12 },
    range: { category: ["#2b83ba", "#d7603e", "#5aa469", "#b08bbb", "#d9a441", "#6c8ebf", "#a3b18a", "#c97b84", "#8d99ae", "#577590"] },
    rule: { color: ink },
  };
  for (const place of document.querySelectorAll(".chart")) {
    const spec = specs[place.dataset.chart];
    if (spec) vegaEmbed(place, spec, { actions: false, config, renderer: "svg" });
  }
}
draw();
dark.addEventListener("change", draw);
