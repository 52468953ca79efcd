"use strict";
const panels = [...document.querySelectorAll('[id^="front-"], [id^="alarm-"]')];
function show() {
  const shown = new Set();
  for (const box of document.querySelectorAll("[data-method]")) {
    if (box.checked) shown.add(box.dataset.method);
  }
  for (const panel of panels) {
    Plotly.restyle(panel, { visible: panel.data.map((trace) => shown.has(trace.meta)) });
  }
}
function scale(event) {
  for (const panel of panels.filter((each) => each.id.startsWith("front-"))) {
    Plotly.relayout(panel, { "yaxis.type": event.target.checked ? "log" : "linear", "yaxis.autorange": true });
  }
}
for (const box of document.querySelectorAll("[data-method]")) box.addEventListener("change", show);
document.querySelector("[data-logarithmic]").addEventListener("change", scale);
