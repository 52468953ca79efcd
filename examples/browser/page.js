// Fields for the columns of model.onnx; verdict, margin and radius follow what is entered.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { open } from "./certify.js";

const values = document.getElementById("values");
const answer = document.getElementById("answer");
ort.env.wasm.numThreads = 1;

async function follow(model) {
  const entries = [...values.elements].map(({ name, value, dataset }) => [name, dataset.type === "string" ? value : Number(value)]);
  try {
    const [{ sensitive, margin, radius }] = await model.certify([Object.fromEntries(entries)]);
    answer.textContent = `${sensitive ? "sensitive" : "not sensitive"}, margin ${margin.toPrecision(4)}, radius ${radius}`;
  } catch (error) {
    answer.textContent = error.message;
  }
}

function fieldOf({ name, type }) {
  const label = document.createElement("label"), field = document.createElement("input");
  Object.assign(field, { name, value: type === "string" ? "" : "0" });
  field.dataset.type = type;
  label.append(`${name} `, field);
  return label;
}

try {
  const model = await open(ort, "model.onnx");
  values.append(...model.columns.map(fieldOf));
  values.addEventListener("input", () => follow(model));
  await follow(model);
} catch (error) {
  answer.textContent = `model.onnx cannot be opened: ${error.message}`;
}
