// The OpenAPI description as a page, without a library from elsewhere.

import { element } from "./show.js";

const description = await (await fetch("/openapi.json")).json();
const resolved = (schema) =>
  schema?.$ref ? description.components.schemas[schema.$ref.split("/").at(-1)] : schema;

/** Names of a schema's fields with what they are for. */
function fieldsOf(schema) {
  const items = Object.entries(resolved(schema)?.properties ?? {}).flatMap(([name, field]) => {
    const term = element("dt", {}, element("code", { class: "code" }, name));
    const inner = field.items?.$ref ? fieldsOf(field.items) : null;
    return [term, element("dd", {}, field.description ?? "", ...(inner ? [inner] : []))];
  });
  return items.length ? element("dl", { class: "fields" }, ...items) : null;
}

function bodyOf(title, content) {
  const schema = Object.values(content ?? {})[0]?.schema;
  const fields = schema ? fieldsOf(schema) : null;
  return fields ? [element("h3", {}, title), fields] : [];
}

function cardOf(path, method, operation) {
  const statuses = Object.keys(operation.responses ?? {}).join(", ");
  return element("section", { class: "card" },
    element("h2", {}, element("code", { class: "code" }, `${method.toUpperCase()} ${path}`)),
    element("p", {}, operation.description ?? operation.summary ?? ""),
    ...bodyOf("Request", operation.requestBody?.content),
    ...bodyOf("Answer", operation.responses?.["200"]?.content),
    element("p", { class: "note" }, `Statuses: ${statuses}`));
}

const cards = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => cardOf(path, method, operation)));
document.getElementById("paths").replaceChildren(...cards);
