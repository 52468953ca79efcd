// What answers look like: elements made of text alone, so that no value can be taken for HTML.

/** An element with attributes and children; texts become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A radius with four digits, rounded down: a promise is never made greater by printing it. */
export function floored(radius) {
  if (radius === "inf") return "any";
  if (!(radius > 0)) return "0";
  const scale = 10 ** (3 - Math.floor(Math.log10(radius)));
  const down = Math.floor(radius * scale) / scale;
  return String(Number((down > radius ? down - 1 / scale : down).toPrecision(4)));
}

export const signed = (margin) => (margin > 0 ? "+" : "") + margin.toPrecision(4);

export function badge(model, answer) {
  const alert = answer.verdict === model.classes.sensitive;
  return element("span", { class: `badge ${alert ? "alert" : "calm"}` }, answer.verdict ?? "no verdict");
}

/** What a radius says, in a sentence. */
export function promise(model, name, radius) {
  const unit = model.threats[name].radius_in;
  if (radius === 0) return null;
  if (radius === "inf") return "No change at all undoes this verdict, as far as such changes go.";
  if (unit === "columns that change") {
    return `No change of any ${radius === 1 ? "one column" : `${radius} columns`} undoes this verdict.`;
  }
  if (unit === "edited words") {
    const kinds = name.replace(/^words /, "");
    const edits = radius === 1 ? `edit of a word (${kinds}) undoes` : `edits of words (${kinds}) undo`;
    return `No ${floored(radius)} ${edits} this verdict.`;
  }
  return `No change of less than ${floored(radius)} in ${unit} undoes this verdict.`;
}

/** The table of all answers; `open` is called with a row's number. */
export function tableOf(model, samples, answers, names, open) {
  const text = model.takes[0] !== "rows";
  const bad = answers.some((answer) => answer.problem !== null);
  const heads = ["Row", ...(text ? ["Sample"] : []), "Verdict", "Margin", ...names, ...(bad ? ["Problem"] : [])];
  const numeric = new Set(["Margin", ...names]);
  const head = heads.map((name) => element("th", { scope: "col", class: numeric.has(name) ? "number" : null }, name));
  const rows = answers.map((answer, row) => {
    const named = { type: "button", class: "plain small", "aria-label": `Look at row ${row + 1}` };
    const button = element("button", named, String(row + 1));
    button.addEventListener("click", () => open(row));
    const cells = [element("td", {}, button)];
    if (text) cells.push(element("td", { class: "sample" }, String(samples[row]).slice(0, 200)));
    if (answer.problem !== null) {
      cells.push(element("td", {}, "–"), element("td", { class: "number" }, "–"));
      names.forEach(() => cells.push(element("td", { class: "number" }, "–")));
      cells.push(element("td", { class: "problem" }, answer.problem));
    } else {
      cells.push(element("td", {}, badge(model, answer)), element("td", { class: "number" }, signed(answer.margin)));
      names.forEach((name) => cells.push(element("td", { class: "number" }, floored(answer.radii[name]))));
      if (bad) cells.push(element("td"));
    }
    return element("tr", { "data-row": row }, ...cells);
  });
  return [element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)];
}

/** Verdict and promise of one answer. */
export function verdictOf(model, answer) {
  if (answer.problem !== null) return [element("p", { class: "bad" }, answer.problem)];
  const [name, radius] = Object.entries(answer.radii)[0];
  const alert = answer.verdict === model.classes.sensitive;
  const nothing = `Nothing is certified of ${alert ? "it: perhaps a small change undoes it" : "this verdict"}.`;
  return [badge(model, answer), element("p", { class: "promise" }, (alert && promise(model, name, radius)) || nothing)];
}

/** What a radius counts. */
function measured(model, name) {
  const unit = model.threats[name].radius_in;
  if (unit === "columns that change") return "Columns that may change";
  return unit === "edited words" ? `Edits that may be made: ${name}` : `Radius in ${unit}`;
}

/** Margin and radii, as terms and numbers. */
export function numbersOf(model, answer) {
  if (answer.problem !== null) return [];
  const pairs = [["Margin", signed(answer.margin)]];
  for (const [name, radius] of Object.entries(answer.radii)) {
    pairs.push([measured(model, name), floored(radius)]);
  }
  return pairs.flatMap(([term, number]) => [element("dt", {}, term), element("dd", {}, number)]);
}

/** What carries the verdict: columns or words with bars. */
export function reasonsOf(reasons) {
  if (!reasons?.length) return [];
  const items = reasons.slice(0, 8).map(({ column, word, share }) => {
    const percent = `${Math.ceil(100 * Math.min(share, 9.99))} %`;
    const bar = element("meter", { min: 0, max: 1, value: Math.min(1, share), "aria-hidden": "true" });
    const what = element("span", { class: "what" }, column ?? word);
    return element("li", {}, what, bar, element("span", { class: "share" }, percent));
  });
  const note = element("p", { class: "note" }, "Share of the margin that each alone can take away at most.");
  return [element("h3", {}, "What carries it"), note, element("ul", { class: "bars" }, ...items)];
}

/** What would have to change, of a row or a text. */
export function evasionOf(evasion, values) {
  if (!evasion || Object.keys(evasion).length === 0) {
    return [element("p", { class: "note" }, "No change is known that undoes it.")];
  }
  if ("edits" in evasion) {
    const edits = evasion.edits.map((edit) => element("li", {}, edit));
    const whole = element("p", { class: "note" }, `as in: ${evasion.text}`);
    const title = element("h3", {}, "These words would have to change");
    return [title, element("ul", { class: "changes" }, ...edits), whole];
  }
  const items = Object.entries(evasion).map(([name, value]) => {
    const before = values[name] === undefined ? "" : `${values[name]} → `;
    return element("li", {}, element("strong", {}, name), `: ${before}${value}`);
  });
  return [element("h3", {}, "These columns would have to change"), element("ul", { class: "changes" }, ...items)];
}
