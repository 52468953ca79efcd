"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const config = {
  responsive: true,
  displayModeBar: false,
  plotlyServerURL: "",
};
for (const [id, figure] of Object.entries(figures)) {
  Plotly.newPlot(id, figure.data, figure.layout, config).then(
    (plot) => plot.setAttribute("data-drawn", "yes"),
    (error) => {
      document.getElementById(id).textContent = "This plot could not be drawn: " + error;
    },
  );
}
