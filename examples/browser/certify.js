// Verdicts and certified radii of rows, worked out where this runs: no service, and no row leaves the machine.
//
// `ort` is the package onnxruntime-web; the graph is what `asymcert export --onnx-certified` wrote of a table's model.

/** Open a graph; `source` is an address or its bytes. */
export async function open(ort, source) {
  const session = await ort.InferenceSession.create(source, { executionProviders: ["wasm"] });
  const columns = session.inputMetadata.map(({ name, type }) => ({ name, type }));
  return { columns, certify: (rows) => certify(ort, session, columns, rows) };
}

/** For each row whether it is sensitive, its margin, and the radius within which that cannot be undone. */
async function certify(ort, session, columns, rows) {
  rows.forEach((row, place) => check(columns, row, place));
  const feeds = Object.fromEntries(columns.map(({ name, type }) => [name, tensor(ort, type, rows.map((row) => row[name]))]));
  const { margin, sensitive, radius } = await session.run(feeds, ["margin", "sensitive", "radius"]);
  return rows.map((_, i) => ({ sensitive: Boolean(sensitive.data[i]), margin: margin.data[i], radius: radius.data[i] }));
}

/** What is no number is never called sensitive by the graph: it must not reach it. */
function check(columns, row, place) {
  for (const { name, type } of columns) {
    if (!(name in row)) throw new Error(`Row ${place + 1} lacks the column '${name}'.`);
    const value = row[name];
    if (type !== "string" && value !== null && !Number.isFinite(value)) {
      throw new Error(`Row ${place + 1}: '${name}' must be a number, got ${JSON.stringify(value)}.`);
    }
  }
}

/** A column of values; a missing number is NaN, a missing text empty. */
function tensor(ort, type, values) {
  if (type === "string") return new ort.Tensor("string", values.map((value) => String(value ?? "")), [values.length]);
  return new ort.Tensor("float64", Float64Array.from(values, (value) => value ?? NaN), [values.length]);
}
