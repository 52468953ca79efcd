// The page: asks the service about what people enter, and follows as they change a value.

import { csvOf, listOfJson, rowsOf } from "./csv.js";
import { element, evasionOf, numbersOf, reasonsOf, tableOf, verdictOf } from "./show.js";

const DELAY = 150; // milliseconds after the last key
const by = (id) => document.getElementById(id);
const state = { model: null, token: null, samples: [], answers: [], names: [], row: 0, asked: 0 };

const HELP = {
  rows: "CSV with a header, or JSON: one object a row. Columns that the model does not know are left out.",
  texts: "One text. A file may hold many: a column of a CSV, a JSON list, or a text a line.",
  arrays: "JSON: one list of numbers a sample.",
};

/** What the service answers; an error with its one line, and the bad rows' lines, where it refuses. */
async function call(path, body) {
  const headers = state.token === null ? {} : { authorization: `Bearer ${state.token}` };
  const options = body === undefined ? { headers } : {
    method: "POST", body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" },
  };
  const response = await fetch(path, options);
  const content = await response.json();
  if (response.ok) return content;
  const error = new Error(content.detail);
  throw Object.assign(error, { status: response.status, problems: content.problems ?? [] });
}

async function start() {
  try {
    state.model = await call("/v1/model");
  } catch (error) {
    by("login").hidden = error.status !== 401;
    by("lead").textContent = error.status === 401 ? "" : `The service cannot be asked: ${error.message}`;
    return;
  }
  const { model } = state;
  by("login").hidden = true;
  by("ask").hidden = false;
  by("name").textContent = model.name;
  document.title = `${model.name} · asymcert`;
  const lead = "come with a proof: how much must change before they can be undone.";
  by("lead").textContent = `Verdicts “${model.classes.sensitive}” ${lead}`;
  by("digest").textContent = `· model ${model.digests.model.slice(0, 12)}`;
  by("samples-label").textContent = { rows: "Rows", texts: "Text", arrays: "Arrays" }[kind()];
  by("samples-help").textContent = HELP[kind()];
  by("samples").classList.toggle("code", kind() !== "texts");
  by("example").hidden = kind() === "texts";
  by("threats").replaceChildren(...Object.keys(model.threats).map((name, place) => {
    const box = element("input", { type: "checkbox", name: "threat", value: name, checked: place === 0 });
    return element("label", {}, box, name);
  }));
}

const kind = () => state.model.takes[0];
const chosen = () => [...document.querySelectorAll("[name=threat]:checked")].map((box) => box.value);
const textual = () => new Set(state.model.asks.filter(({ kind }) => kind !== "number").map(({ name }) => name));

/** Samples of what was entered, or is in a file. */
function samplesOf(text, fromFile) {
  if (kind() === "arrays") {
    const list = listOfJson(text);
    return typeof list[0] === "number" ? [list] : list;
  }
  const known = state.model.asks.map((column) => column.name);
  if (kind() === "rows") {
    const kept = (row) => Object.entries(row).filter(([name]) => known.includes(name));
    return rowsOf(text, textual()).map((row) => Object.fromEntries(kept(row)));
  }
  if (!fromFile) return [text];
  const start = text.trimStart()[0];
  const lines = () => text.split("\n").filter((line) => line.trim() !== "");
  const rows = start === "[" || start === "{" ? listOfJson(text) : columnOf(text, known[0]) ?? lines();
  return rows.map((row) => (typeof row === "string" ? row : String(row[known[0]] ?? "")));
}

/** Rows of a CSV with such a column; null where it is none. */
function columnOf(text, name) {
  try {
    const rows = rowsOf(text, new Set([name]));
    return rows.length > 0 && name in rows[0] ? rows : null;
  } catch {
    return null;
  }
}

async function certify(text, fromFile = false) {
  fail(null);
  by("status").textContent = "Certifying …";
  try {
    state.samples = samplesOf(text, fromFile);
    state.names = chosen();
    state.answers = (await call("/v1/certify", { [kind()]: state.samples, threats: state.names })).answers;
    state.names = Object.keys(state.answers.find((answer) => answer.problem === null).radii);
    by("status").textContent = summary();
    showResults();
    await look(Math.max(0, state.answers.findIndex((answer) => answer.problem === null)), false);
  } catch (error) {
    by("results").hidden = by("one").hidden = true;
    by("status").textContent = "";
    fail(error);
  }
}

function summary() {
  const { sensitive, other } = state.model.classes;
  const count = (test) => state.answers.filter(test).length;
  const alerts = count((answer) => answer.verdict === sensitive), bad = count((answer) => answer.problem !== null);
  const total = state.answers.length;
  const problems = bad ? ` ${bad} cannot be read.` : "";
  const counts = `${alerts} × “${sensitive}”, ${total - alerts - bad} × “${other}”.`;
  return `${total} ${total === 1 ? "answer" : "answers"}: ${counts}${problems}`;
}

function fail(error) {
  by("error").hidden = error === null;
  const line = ({ row, problem }) => element("li", {}, `Row ${row + 1}: ${problem}`);
  const lines = (error?.problems ?? []).slice(0, 10).map(line);
  by("error").replaceChildren(error?.message ?? "", ...(lines.length > 1 ? [element("ul", {}, ...lines)] : []));
}

function showResults() {
  by("results").hidden = state.answers.length < 2;
  const { model, samples, answers, names } = state;
  by("table").replaceChildren(...tableOf(model, samples, answers, names, (row) => look(row, true)));
}

/** Show one sample with its values to change. */
async function look(row, move) {
  state.row = row;
  for (const line of document.querySelectorAll("#table tr")) {
    line.setAttribute("aria-current", line.dataset.row === String(row));
  }
  by("one").hidden = false;
  by("one-title").textContent = state.answers.length > 1 ? `Row ${row + 1}` : "What if";
  by("values").replaceChildren(...inputsOf(state.samples[row]));
  const answer = await follow();
  const first = (answer?.reasons ?? []).map((reason) => reason.column);
  const places = [...by("values").elements].filter((field) => first.includes(field.name));
  places.sort((a, b) => first.indexOf(a.name) - first.indexOf(b.name));
  by("values").prepend(...places.map((field) => field.parentElement));
  if (move) by("one").focus();
}

/** Labelled inputs for the values of a sample. */
function inputsOf(sample) {
  if (kind() !== "rows") {
    const text = kind() === "texts" ? sample : JSON.stringify(sample);
    const area = element("textarea", { id: "value-0", rows: 10, name: "sample" });
    area.value = text;
    return [element("div", { class: "wide" }, element("label", { for: "value-0" }, "Change it"), area)];
  }
  const stored = Object.fromEntries(state.model.columns.map((column) => [column.name, column]));
  return state.model.asks.filter((column) => column.kind !== "dropped").map(({ name, kind: what }, place) => {
    const id = `value-${place}`, options = stored[name]?.values;
    const value = sample[name] ?? "";
    const listed = [...new Set([...(options ?? []), String(value)])].map((each) => element("option", {}, each));
    const field = options
      ? element("select", { id, name }, ...listed)
      : element("input", { id, name, inputmode: what === "number" ? "decimal" : null, autocomplete: "off" });
    field.value = String(value);
    return element("div", {}, element("label", { for: id }, name), field);
  });
}

/** The sample that the inputs hold now. */
function entered() {
  const fields = [...by("values").elements];
  if (kind() === "texts") return fields[0].value;
  if (kind() === "arrays") return JSON.parse(fields[0].value);
  const texts = textual();
  const stays = ({ name, value }) => texts.has(name) || Number.isNaN(Number(value));
  const entry = (field) => (field.value === "" ? null : stays(field) ? field.value : Number(field.value));
  return Object.fromEntries(fields.map((field) => [field.name, entry(field)]));
}

/** Ask about what the inputs hold now, and show the answer unless a later one is on its way. */
async function follow() {
  const number = ++state.asked;
  let answer, sample;
  try {
    sample = entered();
    answer = (await call("/v1/certify", questionOf(sample))).answers[0];
  } catch (error) {
    answer = { problem: error.problems?.[0]?.problem ?? error.message, radii: {} };
  }
  if (number !== state.asked) return null;
  const { model } = state;
  by("verdict").replaceChildren(...verdictOf(model, answer));
  by("numbers").replaceChildren(...numbersOf(model, answer));
  by("reasons").replaceChildren(...reasonsOf(answer.reasons));
  const alert = "evasion" in answer && answer.margin > 0;
  by("evasion").replaceChildren(...(alert ? evasionOf(answer.evasion, kind() === "rows" ? sample : {}) : []));
  const carrying = new Set((answer.reasons ?? []).slice(0, 8).map((reason) => reason.column));
  for (const field of by("values").elements) field.parentElement.classList.toggle("carries", carrying.has(field.name));
  return answer;
}

/** Reasons and changes are asked for where the model has them. */
function questionOf(sample) {
  const units = state.names.map((name) => state.model.threats[name].radius_in);
  const told = kind() === "texts" || units.includes("columns that change");
  return { [kind()]: [sample], threats: state.names, ...(told ? { reasons: true, evasions: true } : {}) };
}

/** A row in the middle of what the columns can be. */
function exampleOf() {
  const { model } = state;
  if (kind() === "arrays") return JSON.stringify(Array(model.input_shape.reduce((a, b) => a * b)).fill(0.5));
  const stored = Object.fromEntries(model.columns.map((column) => [column.name, column]));
  const middle = (column) => Number(((column.low + column.high) / 2).toPrecision(4));
  const value = (column) => (column?.values ? column.values[0] : column?.low === undefined ? "" : middle(column));
  return JSON.stringify(Object.fromEntries(model.asks.map(({ name }) => [name, value(stored[name])])), null, 1);
}

function save() {
  const radii = (answer) => state.names.map((name) => answer.radii[name]);
  const lines = state.answers.map((a, row) => [row, a.verdict, a.margin, ...radii(a), a.problem]);
  const text = csvOf(["row", "verdict", "margin", ...state.names, "problem"], lines);
  const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = element("a", { href, download: "answers.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
}

let timer = null;
by("values").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(follow, DELAY);
});
by("values").addEventListener("submit", (event) => event.preventDefault());
by("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  certify(by("samples").value);
});
by("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) certify(await file.text(), true);
});
by("example").addEventListener("click", () => {
  by("samples").value = exampleOf();
  certify(by("samples").value);
});
by("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = by("token").value;
  start();
});
by("save").addEventListener("click", save);
start();
