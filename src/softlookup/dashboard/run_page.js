// Draws one run. Text from runs is only set as textContent.
const $ = (id) => document.getElementById(id);
const KINDS = { // rows and columns of weights, as in runs/validated_files.py
  lookups: ["output reads the source", "target", "source"],
  encoder: ["the encoder reads its own positions", "source", "source"],
  decoder: ["the decoder reads its own positions", "target", "target"],
};

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function fillTable(table, columns, rows, numbers = [], lineClass = () => "") {
  const aligned = (index) => (numbers.includes(index) ? "number" : "");
  const head = element("tr", {}, ...columns.map((name, i) => element("th", { textContent: name, scope: "col", className: aligned(i) })));
  const lines = rows.map((cells) => element("tr", { className: lineClass(cells) }, ...cells.map((text, i) =>
    element(i ? "td" : "th", { textContent: text, className: aligned(i), ...(i ? {} : { scope: "row" }) }))));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...lines));
}

function tableSection({ title, columns, rows, note }) {
  const table = element("table");
  const measures = columns.includes("meaning");
  const numbers = measures ? [1] : columns.map((_, i) => i).filter((i) => i && columns[i] !== "training");
  fillTable(table, columns, rows, numbers, (cells) => (cells[1] === "beyond" ? "beyond" : ""));
  const region = element("div", { className: measures ? "scroll" : "scroll wide", tabIndex: 0 }, table);
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", title);
  return element("section", {}, element("h2", { textContent: title }), element("p", { textContent: note }), region);
}

const WIDTH = 420, HEIGHT = 230, LEFT = 56, RIGHT = 12, TOP = 28, BOTTOM = 40;

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Return round values that divide a range into two to five parts.
function ticks(low, high) {
  const rough = (high - low) / 4 || Math.abs(high) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n += 1) found.push(n * step || 0); // not -0
  return found;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });

function chart(measure, xs, across) {
  const points = xs.map((x, i) => [x, measure.values[i]]).filter(([x, y]) => x !== null && y !== null);
  if (!points.length) return [];
  const bounds = [0, 1].map((axis) => [Math.min(...points.map((p) => p[axis])), Math.max(...points.map((p) => p[axis]))]);
  bounds[0][0] = Math.min(0, bounds[0][0]);
  const margin = (bounds[1][1] - bounds[1][0]) * 0.06 || Math.abs(bounds[1][1]) * 0.06 || 1;
  bounds[1] = [bounds[1][0] - margin, bounds[1][1] + margin];
  const place = (value, [low, high], from, to) => from + ((value - low) / (high - low || 1)) * (to - from);
  const x = (value) => place(value, bounds[0], LEFT, WIDTH - RIGHT);
  const y = (value) => place(value, bounds[1], HEIGHT - BOTTOM, TOP);
  const unit = measure.unit ? ` (${measure.unit})` : "";
  const [, last] = points[points.length - 1];
  const label = `${measure.name}${unit} by ${across}: from ${exact.format(points[0][1])} to ${exact.format(last)}`;
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const value of ticks(...bounds[1])) {
    drawn.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    drawn.append(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, exact.format(value)));
  }
  for (const value of ticks(...bounds[0]))
    drawn.append(svg("text", { x: x(value), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, compact.format(value)));
  drawn.append(svg("text", { class: "name", x: 4, y: 14 }, `${measure.name}${unit}`));
  drawn.append(svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, across));
  drawn.append(svg("path", { d: points.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("") }));
  for (const [at, value] of points) {
    const mark = svg("circle", { cx: x(at), cy: y(value), r: 3.5 });
    mark.append(svg("title", {}, `${exact.format(value)}${unit} at ${exact.format(at)} ${across}`));
    drawn.append(mark);
  }
  return [drawn];
}

function drawCurves({ tokens, seconds, measures }) {
  const drawn = measures.flatMap((one) => [...chart(one, tokens, "target tokens"), ...chart(one, seconds, "seconds")]);
  $("curves").hidden = !drawn.length;
  $("curves").querySelector(".charts").append(...drawn);
}

// Return what can be drawn of an example: the weights that its measures use, and those of each layer.
function choices(example) {
  const mean = { name: "as measured: last layer, mean of heads", maps: [["", example.weights, example.gold, "target", "source"]] };
  const layers = Object.entries(example.layers).flatMap(([kind, layers]) => layers.map((heads, layer) => ({
    name: `${KINDS[kind][0]}, layer ${layer + 1}`,
    maps: heads.map((weights, head) => [`layer ${layer + 1}, head ${head + 1}`, weights, kind === "lookups" ? example.gold : null,
      ...KINDS[kind].slice(1)]),
  })));
  return [mean, ...layers];
}

function drawMaps() {
  const example = DATA.examples[$("example").selectedIndex];
  const offered = choices(example);
  const kept = Math.max(0, offered.findIndex(({ name }) => name === $("weights").value));
  $("weights").replaceChildren(...offered.map(({ name }) => element("option", { textContent: name, value: name })));
  $("weights").selectedIndex = kept;
  $("reference").textContent = `reference: ${example.reference.join(" ")}`;
  $("maps").replaceChildren(...offered[kept].maps.map(([caption, weights, gold, down, across]) =>
    heatMap(fromThousandths(weights), gold, example[across], example[down], caption || undefined)));
  history.replaceState(null, "", `#${new URLSearchParams({ example: $("example").selectedIndex + 1, weights: $("weights").value })}`);
}

function startMaps() {
  if (!DATA.examples.length) return;
  $("alignments").hidden = false;
  const asked = new URLSearchParams(location.hash.slice(1));
  $("example").append(...DATA.examples.map(({ source }, i) => element("option", { textContent: `${i + 1} (${source.length} tokens)` })));
  $("example").selectedIndex = Math.min(DATA.examples.length, Math.max(1, Number(asked.get("example")) || 1)) - 1;
  $("weights").append(element("option", { value: asked.get("weights") ?? "" }));
  $("example").addEventListener("change", drawMaps);
  $("weights").addEventListener("change", drawMaps);
  drawMaps();
}

function drawSettings() {
  const shown = DATA.settings.filter(({ differs }) => differs || !$("differing").checked);
  const differing = new Set(shown.filter(({ differs }) => differs).map(({ key }) => key));
  fillTable($("settings"), ["key", "value", "default"], shown.map(({ key, value, default: usual }) => [key, value, usual]),
    [], ([key]) => (differing.has(key) ? "differs" : ""));
}

function showText(section, text) {
  section.hidden = !text;
  section.querySelector("pre").textContent = text;
}

document.title = `${DATA.id} (${DATA.state})`;
$("id").textContent = DATA.id;
Object.assign($("state"), { textContent: DATA.state, className: DATA.state.replace(" ", "-") });
$("reason").textContent = DATA.reason;
$("sentence").textContent = DATA.sentence;
$("notes").append(...DATA.notes.map((line) => element("p", { textContent: line, className: "note" })));
$("tables").append(...DATA.tables.map(tableSection));
drawCurves(DATA.curves);
startMaps();
$("differing").addEventListener("change", drawSettings);
drawSettings();
showText($("yaml"), DATA.config);
showText($("log"), DATA.log);
$("origin").hidden = !DATA.provenance.length;
fillTable($("provenance"), ["what", "value"], DATA.provenance);
$("files").append(...DATA.files.map(([name, bytes]) => {
  const href = `./${name.split("/").map(encodeURIComponent).join("/")}`;
  return element("li", {}, element("a", { href, textContent: name }), ` ${exact.format(bytes)} bytes`);
}));
