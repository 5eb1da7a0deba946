// Draws /v1/lineage: assets by stage, and the way of one column through them; nothing is loaded from elsewhere.
"use strict";

const STAGES = ["source", "shop", "consent", "lake", "staging", "snapshots", "intermediate", "marts", "warehouse", "profiles",
  "features", "models", "serving"];
let assets = new Map();
let sources = new Map();   // "asset column" to the same of what it is made of
let users = new Map();     // and to what is made of it
let buttons = new Map();
let chosen;

const at = (id) => document.getElementById(id);
const place = (asset, column) => `${asset} ${column}`;

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

// The shop's raw tables are no assets: they are known from what is made of them.
function take(answer) {
  assets = new Map(answer.assets.map((asset) => [asset.key, { ...asset, columns: [...asset.columns] }]));
  sources = new Map();
  users = new Map();
  for (const asset of answer.assets) {
    for (const column of asset.columns) {
      for (const source of column.sources || []) {
        if (!assets.has(source.asset)) {
          assets.set(source.asset, { key: source.asset, category: null, purposes: [], inputs: [], columns: [] });
        }
        const known = assets.get(source.asset).columns;
        if (!known.some((each) => each.name === source.column)) known.push({ name: source.column, type: "", sources: [] });
        push(sources, place(asset.key, column.name), place(source.asset, source.column));
        push(users, place(source.asset, source.column), place(asset.key, column.name));
      }
    }
  }
}

function stageOf(asset) {
  const stage = asset.key.split("/")[0];
  if (stage !== "lake") return stage;
  return asset.inputs.some((input) => input.startsWith("lake/") || input.startsWith("marts/")) ? "profiles" : "lake";
}

function stages() {
  const grouped = new Map(STAGES.map((stage) => [stage, []]));
  for (const asset of [...assets.values()].sort((one, other) => one.key.localeCompare(other.key))) {
    push(grouped, stageOf(asset), asset);
  }
  return [...grouped].filter(([, members]) => members.length);
}

function drawAsset(asset) {
  const columns = asset.columns.map((column) => {
    const button = element("button", { type: "button", title: column.type || undefined },
      element("span", {}, column.name),
      element("span", { class: "soft" }, column.sources === null ? "not recorded" : column.type));
    button.addEventListener("click", () => choose(place(asset.key, column.name)));
    buttons.set(place(asset.key, column.name), button);
    return button;
  });
  const tags = [asset.category, ...asset.purposes].filter(Boolean)
    .map((tag) => element("span", { class: `tag ${tag}` }, tag));
  return element("details", { class: "asset", "data-key": asset.key },
    element("summary", {}, asset.key), element("div", { class: "tags" }, ...tags), ...columns);
}

function draw() {
  buttons = new Map();
  at("graph").replaceChildren(...stages().map(([stage, members]) =>
    element("section", { class: "stage" }, element("h2", {}, stage), ...members.map(drawAsset))));
  at("columns").replaceChildren(...[...buttons.keys()].map((value) => element("option", { value })));
  const purposes = [...new Set([...assets.values()].flatMap((asset) => asset.purposes))].sort();
  at("purpose").replaceChildren(element("option", { value: "" }, "any purpose"),
    ...purposes.map((purpose) => element("option", { value: purpose }, purpose)));
  for (const details of document.querySelectorAll(".asset")) details.addEventListener("toggle", connect);
  at("controls").hidden = false;
}

// Every place that can be reached from `start`, and the steps on the way there.
function reach(map, start) {
  const found = new Set(), steps = [], todo = [start];
  while (todo.length) {
    const current = todo.pop();
    for (const next of map.get(current) || []) {
      steps.push([current, next]);
      if (!found.has(next)) {
        found.add(next);
        todo.push(next);
      }
    }
  }
  return { found, steps };
}

function choose(column) {
  if (!buttons.has(column)) return;
  chosen = column;
  const up = reach(sources, column), down = reach(users, column);
  const concerned = new Set([column, ...up.found, ...down.found].map((each) => each.split(" ")[0]));
  for (const [name, button] of buttons) {
    button.className = name === column ? "chosen" : up.found.has(name) ? "upstream" : down.found.has(name) ? "downstream" : "";
  }
  for (const details of document.querySelectorAll(".asset")) {
    const part = concerned.has(details.dataset.key);
    details.open = part;
    details.classList.toggle("faded", !part);
  }
  tell(column, up.found, down.found);
  connect();
  history.replaceState(null, "", `#${encodeURIComponent(column)}`);
}

function connect() {
  const graph = at("graph");
  graph.querySelector("svg")?.remove();
  if (!chosen) return;
  const steps = [...reach(sources, chosen).steps.map(([made, of]) => [of, made]), ...reach(users, chosen).steps];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", graph.scrollWidth);
  svg.setAttribute("height", graph.scrollHeight);
  const origin = graph.getBoundingClientRect();
  for (const [from, to] of steps) {
    const [left, right] = [from, to].map((name) => buttons.get(name)?.getBoundingClientRect());
    if (!left?.width || !right?.width) continue;
    const x1 = left.right - origin.left + graph.scrollLeft, y1 = left.top + left.height / 2 - origin.top;
    const x2 = right.left - origin.left + graph.scrollLeft, y2 = right.top + right.height / 2 - origin.top;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const bend = Math.max(30, Math.abs(x2 - x1) / 2);
    path.setAttribute("d", `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`);
    svg.append(path);
  }
  graph.append(svg);
}

function tell(column, up, down) {
  const [key, name] = column.split(" ");
  const asset = assets.get(key);
  const list = (places) => places.size
    ? element("ul", {}, ...[...places].sort().map((each) => element("li", {}, element("code", {}, each.replace(" ", " · ")))))
    : element("p", { class: "soft" }, "nothing");
  at("trace").replaceChildren(
    element("h2", {}, element("code", {}, `${key} · ${name}`)),
    element("p", {}, asset.purposes.length
      ? `May be used for ${asset.purposes.join(", ")}; ${asset.legal_basis || "no legal basis needed"}; ${asset.category}.`
      : asset.category ? "Holds nothing about people." : "A raw column of the shop, which the platform only reads."),
    element("details", {}, element("summary", {}, `made of ${up.size} columns`), list(up)),
    element("details", {}, element("summary", {}, `goes into ${down.size} columns`), list(down)));
}

function fail(message) {
  at("failure").textContent = message;
  at("failure").hidden = !message;
}

async function show(key) {
  fail("");
  const answer = await fetch("/v1/lineage", { headers: { Authorization: `Bearer ${key}` } }).catch(() => undefined);
  if (!answer) return fail("The API does not answer.");
  const body = await answer.json();
  if (!answer.ok) return fail(`${body.title}: ${body.detail || ""}`);
  if (!body.assets.length) return fail("No asset is published yet: run ./selvedge demo or ./selvedge materialize.");
  take(body);
  draw();
  choose(decodeURIComponent(location.hash.slice(1)));
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  show(at("key").value.trim());
});
at("search").addEventListener("change", (event) => {
  const asked = event.target.value.trim();
  if (buttons.has(asked)) return choose(asked);
  const found = document.querySelector(`.asset[data-key="${CSS.escape(asked)}"]`);
  if (found) {
    found.open = true;
    found.scrollIntoView({ block: "center", inline: "center" });
  }
});
at("purpose").addEventListener("change", (event) => {
  for (const details of document.querySelectorAll(".asset")) {
    const serves = assets.get(details.dataset.key).purposes;
    details.hidden = Boolean(event.target.value) && !serves.includes(event.target.value);
  }
  connect();
});
window.addEventListener("resize", connect);
