// What people paste or upload, as samples of a request: CSV with any usual separator, JSON, or JSON lines.

const SEPARATORS = ["\t", ";", ",", "|"];

/** Lines of fields; fields in quotes may hold separators, line breaks and doubled quotes. */
export function fieldsOf(text, separator) {
  const lines = [[]];
  let field = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') field += text[++i];
      else if (c === '"') quoted = false;
      else field += c;
    } else if (c === '"' && field === "") quoted = true;
    else if (c === separator || c === "\n") {
      lines.at(-1).push(field);
      field = "";
      if (c === "\n") lines.push([]);
    } else if (c !== "\r") field += c;
  }
  lines.at(-1).push(field);
  return lines.filter((line) => line.length > 1 || line[0].trim() !== "");
}

/** The separator that the first line has most of. */
export function separatorOf(text) {
  const first = text.split("\n", 1)[0];
  const count = (separator) => fieldsOf(first, separator)[0]?.length ?? 0;
  return SEPARATORS.reduce((best, next) => (count(next) > count(best) ? next : best));
}

/** A number where the text is a plain one, nothing where it is empty, else the text. */
export function cellOf(text) {
  const cell = text.trim();
  if (cell === "") return null;
  return /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(cell) && Number.isFinite(Number(cell)) ? Number(cell) : text;
}

/** Objects, one for each line below the header. `textual` names columns whose cells stay texts. */
export function rowsOfCsv(text, textual = new Set()) {
  const [header, ...lines] = fieldsOf(text.replace(/^\uFEFF/, ""), separatorOf(text));
  const names = (header ?? []).map((name) => name.trim());
  lines.forEach((line, place) => {
    if (line.length !== names.length) {
      throw new Error(`Line ${place + 2} has ${line.length} fields, the header has ${names.length}.`);
    }
  });
  const cell = (name, value) => (textual.has(name) ? (value === "" ? null : value) : cellOf(value));
  return lines.map((line) => Object.fromEntries(names.map((name, i) => [name, cell(name, line[i])])));
}

/** What a JSON text or JSON lines hold, as a list. */
export function listOfJson(text) {
  try {
    const content = JSON.parse(text);
    return Array.isArray(content) ? content : [content];
  } catch (error) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    if (lines.length < 2) throw new Error(`This is no JSON: ${error.message}`);
    return lines.map((line, place) => {
      try {
        return JSON.parse(line);
      } catch {
        throw new Error(`Line ${place + 1} is no JSON.`);
      }
    });
  }
}

/** Rows of a table from CSV or JSON. */
export function rowsOf(text, textual) {
  const start = text.trimStart()[0];
  return start === "{" || start === "[" ? listOfJson(text) : rowsOfCsv(text, textual);
}

/** CSV of a header and lines; texts like formulas get an apostrophe. */
export function csvOf(header, lines) {
  const safe = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? ""));
  const field = (value) => (/[",\n\r]/.test(safe(value)) ? `"${safe(value).replaceAll('"', '""')}"` : safe(value));
  return [header, ...lines].map((line) => line.map(field).join(",")).join("\n") + "\n";
}
