// Draws the OpenAPI document of this server and sends requests to it; nothing is loaded from elsewhere.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let specification;

// Text with paragraphs and `code`, the part of Markdown that the descriptions use.
function prose(text = "") {
  return text.trim().split(/\n\s*\n/).filter(Boolean).map((paragraph) =>
    element("p", {}, ...paragraph.split(/(`[^`]+`)/).map((part) =>
      part.startsWith("`") ? element("code", {}, part.slice(1, -1)) : part)));
}

const pretty = (value) => JSON.stringify(value, null, 2);

function resolve(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((node, part) => node[part], specification);
}

function typeName(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf || schema.oneOf) {
    return [...new Set((schema.anyOf || schema.oneOf).map(typeName))].join(" or ");
  }
  if (schema.const !== undefined) return pretty(schema.const);
  if (schema.enum) return schema.enum.map((value) => pretty(value)).join(" | ");
  if (schema.type === "array") return `list of ${typeName(schema.items)}`;
  return [schema.type, schema.format && `(${schema.format})`].filter(Boolean).join(" ") || "any";
}

const LIMITS = {
  minimum: "≥", maximum: "≤", exclusiveMinimum: ">", exclusiveMaximum: "<", minLength: "length ≥", maxLength: "length ≤",
  minItems: "items ≥", maxItems: "items ≤", pattern: "pattern", default: "default",
};

function limits(schema = {}) {
  const parts = [schema, ...(schema.anyOf || [])];
  return Object.entries(LIMITS).flatMap(([key, sign]) =>
    parts.filter((part) => part[key] !== undefined && part[key] !== null)
      .map((part) => `${sign} ${typeof part[key] === "string" ? part[key] : pretty(part[key])}`)).join(", ");
}

function firstExample(holder) {
  if (!holder) return undefined;
  if (holder.example !== undefined) return holder.example;
  if (Array.isArray(holder.examples)) return holder.examples[0];
  if (holder.examples) return Object.values(holder.examples)[0]?.value;
  if (!holder.schema && holder.default !== undefined) return holder.default;
  return holder.schema ? firstExample(resolve(holder.schema)) : undefined;
}

function table(heads, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) =>
      element("tr", {}, ...row.map((cell) => element("td", {}, ...[cell].flat()))))));
}

function parameterRows(parameters) {
  return parameters.map((parameter) => [
    [element("code", {}, parameter.name), parameter.required ? element("span", { class: "required" }, " required") : ""],
    parameter.in,
    [typeName(parameter.schema), element("span", { class: "soft" }, ` ${limits(parameter.schema)}`)],
    prose(parameter.description || parameter.schema?.description),
  ]);
}

function schemaRows(schema) {
  return Object.entries(schema.properties || {}).map(([name, property]) => [
    [element("code", {}, name), (schema.required || []).includes(name) ? element("span", { class: "required" }, " required") : ""],
    [typeName(property), element("span", { class: "soft" }, ` ${limits(property)}`)],
    prose(property.description || resolve(property).description),
  ]);
}

function responseSection(responses) {
  return Object.entries(responses).map(([status, response]) => {
    const [mediaType, content] = Object.entries(response.content || {})[0] || [];
    const example = firstExample(content);
    return element("details", {},
      element("summary", {}, element("code", {}, status), ` ${response.description}`),
      mediaType && element("p", { class: "soft" }, mediaType, content.schema ? `, ${typeName(content.schema)}` : ""),
      example !== undefined && element("pre", { tabindex: "0" }, typeof example === "string" ? example : pretty(example)));
  });
}

function keyFor(operation) {
  for (const need of operation.security || []) {
    for (const scheme of Object.keys(need)) {
      const value = document.getElementById(`key-${scheme}`)?.value.trim();
      if (value) return value;
    }
  }
  return "";
}

function requestFrom(path, method, operation, form) {
  const headers = {}, query = new URLSearchParams();
  const fields = [...form.querySelectorAll("[data-in]")].filter((field) => field.value !== "");
  for (const field of fields) {
    const { in: place, name, list } = field.dataset;
    if (place === "path") path = path.replace(`{${name}}`, name === "key" ? encodeURI(field.value) : encodeURIComponent(field.value));
    if (place === "query") (list ? field.value.split(",") : [field.value]).forEach((value) => query.append(name, value.trim()));
    if (place === "header") headers[name] = field.value;
  }
  const key = keyFor(operation);
  if (key) headers.Authorization = `Bearer ${key}`;
  const body = form.querySelector("textarea");
  if (body) headers["Content-Type"] = "application/json";
  const address = query.size ? `${path}?${query}` : path;
  return [address, { method: method.toUpperCase(), headers, body: body?.value, cache: "no-store" }];
}

// A new reference goes into every form that asks for one and has none yet.
function passOn(reference) {
  if (!reference) return;
  for (const input of document.querySelectorAll('[data-name="Selvedge-Subject"], [data-name="subject_ref"]')) {
    if (!input.value || input.dataset.passedOn) {
      input.value = reference;
      input.dataset.passedOn = "1";
    }
  }
}

async function send(path, method, operation, form, answer) {
  const [address, request] = requestFrom(path, method, operation, form);
  const started = performance.now();
  try {
    const response = await fetch(address, request);
    const text = await response.text();
    const milliseconds = (performance.now() - started).toFixed(1);
    const isJson = (response.headers.get("content-type") || "").includes("json");
    if (response.ok && isJson && text) passOn(JSON.parse(text).subject_ref ?? "");
    answer.replaceChildren(
      element("p", {}, element("code", {}, `${request.method} ${address}`)),
      element("p", {}, element("strong", {}, `${response.status} ${response.statusText}`), ` in ${milliseconds} ms`),
      element("pre", { tabindex: "0" }, isJson && text ? pretty(JSON.parse(text)) : text));
  } catch (error) {
    answer.replaceChildren(element("p", { class: "notice" }, `No answer: ${error.message}`));
  }
}

function field(operation, parameter) {
  const id = `${operation.operationId}-${parameter.name}`;
  const schema = resolve(parameter.schema);
  const choices = schema.enum || (schema.anyOf || []).map(resolve).find((part) => part.enum)?.enum;
  const isList = schema.type === "array" || (schema.anyOf || []).some((part) => part.type === "array");
  const example = firstExample(parameter);
  const shared = { id, "data-in": parameter.in, "data-name": parameter.name, "data-list": isList && "1" };
  const start = parameter.required && example !== undefined ? String(example) : undefined;
  const control = choices
    ? element("select", shared, ...(parameter.required ? [] : [element("option", { value: "" }, "")]),
      ...choices.map((choice) => element("option", { value: choice }, String(choice))))
    : element("input", { ...shared, value: start, placeholder: example === undefined ? "" : `for example ${example}`, autocomplete: "off", spellcheck: "false" });
  return [element("label", { for: id }, `${parameter.name}${isList ? " (separated by commas)" : ""}`), control];
}

function tryIt(path, method, operation, parameters, body) {
  const answer = element("div", { class: "answer", "aria-live": "polite" });
  const form = element("form", { class: "try" }, element("h3", {}, "Try it"),
    ...parameters.flatMap((parameter) => field(operation, parameter)));
  if (body) {
    const id = `${operation.operationId}-body`;
    // An example's events happen now: older ones are refused.
    const example = pretty(firstExample(body) ?? {})
      .replace(/("event_timestamp": )"[^"]*"/g, `$1"${new Date().toISOString()}"`);
    const area = element("textarea", { id, rows: String(Math.min(20, example.split("\n").length + 1)), spellcheck: "false" });
    area.value = example;
    form.append(element("label", { for: id }, "Body (JSON)"), area);
  }
  form.append(element("button", { type: "submit" }, "Send"), answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(path, method, operation, form, answer);
  });
  return form;
}

function operationNode(path, method, operation) {
  const parameters = (operation.parameters || []).map(resolve);
  const body = operation.requestBody?.content?.["application/json"];
  const keys = (operation.security || []).flatMap(Object.keys).join(" or ");
  const content = element("div", {}, ...prose(operation.description),
    element("p", { class: "soft" }, keys ? `API key: ${keys}. ` : "No API key. ", "Operation id: ", element("code", {}, operation.operationId)));
  if (parameters.length) {
    content.append(element("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], parameterRows(parameters)));
  }
  if (body) {
    content.append(element("h3", {}, `Body: ${typeName(body.schema)}`),
      table(["Field", "Type", "Meaning"], schemaRows(resolve(body.schema))));
  }
  content.append(element("h3", {}, "Answers"), ...responseSection(operation.responses),
    tryIt(path, method, operation, parameters, body));
  return element("details", { class: "operation", id: operation.operationId },
    element("summary", {}, element("span", { class: `method ${method}` }, method.toUpperCase()),
      element("span", { class: "path" }, path), ` ${operation.summary || ""}`), content);
}

function operationsByTag() {
  const groups = new Map((specification.tags || []).map((tag) => [tag.name, { description: tag.description, operations: [] }]));
  for (const [path, item] of Object.entries(specification.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] || "other";
      if (!groups.has(tag)) groups.set(tag, { description: "", operations: [] });
      groups.get(tag).operations.push([path, method, item[method]]);
    }
  }
  return [...groups].filter(([, group]) => group.operations.length);
}

function drawKeys() {
  const fields = document.getElementById("key-fields");
  for (const [name, scheme] of Object.entries(specification.components?.securitySchemes || {})) {
    fields.append(element("label", { for: `key-${name}` }, element("strong", {}, name), ` ${scheme.description || ""}`),
      element("input", { id: `key-${name}`, type: "password", autocomplete: "off", spellcheck: "false" }));
  }
}

function drawOperations() {
  const list = document.getElementById("operations"), index = element("ul");
  for (const [tag, group] of operationsByTag()) {
    list.append(element("h2", {}, tag), ...prose(group.description));
    for (const [path, method, operation] of group.operations) {
      list.append(operationNode(path, method, operation));
      index.append(element("li", {}, element("span", { class: `method ${method}` }, method.toUpperCase()),
        element("a", { href: `#${operation.operationId}` }, path), element("span", { class: "soft" }, operation.summary || "")));
    }
  }
  document.getElementById("index").append(element("h2", {}, "Routes"), index);
}

function drawSchemas() {
  const section = document.getElementById("schemas");
  section.append(element("h2", {}, "Schemas"));
  for (const [name, schema] of Object.entries(specification.components?.schemas || {})) {
    section.append(element("details", { class: "operation", id: `schema-${name}` }, element("summary", {}, element("code", {}, name)),
      element("div", {}, ...prose(schema.description),
        schema.enum ? element("p", {}, typeName(schema)) : table(["Field", "Type", "Meaning"], schemaRows(schema)))));
  }
}

function openLinked() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

async function draw() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`status ${response.status}`);
    specification = await response.json();
  } catch (error) {
    const failure = document.getElementById("failure");
    failure.textContent = `The description of the API could not be read: ${error.message}. Reload the page.`;
    failure.hidden = false;
    return;
  }
  document.getElementById("title").textContent = specification.info.title;
  document.getElementById("version").textContent = `Version ${specification.info.version}`;
  document.getElementById("description").append(...prose(specification.info.description));
  drawKeys();
  drawOperations();
  drawSchemas();
  openLinked();
  window.addEventListener("hashchange", openLinked);
}

draw();
