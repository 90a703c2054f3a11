"use strict";
// Text from runs is only set as textContent, or was escaped for plotly when the figures were made.
const DATA = JSON.parse(document.getElementById("data").textContent);
// No external links: no plotly logo, and no upload of charts to plotly's servers.
const CONFIG = {
  displaylogo: false, showSendToCloud: false, plotlyServerURL: "", responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};
const $ = (id) => document.getElementById(id);
const hidden = new Set(); // names of hidden variants
let experiment, task;

function element(name, text, properties = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return Object.assign(made, properties);
}

function options(select, names) {
  const kept = select.selectedIndex >= 0 ? select.options[select.selectedIndex].textContent : null;
  select.replaceChildren(...names.map((name, index) => element("option", name, { value: index })));
  select.selectedIndex = names.length ? Math.max(0, names.indexOf(kept)) : -1;
}

function draw(target, figure, why = "Nothing here was measured in this experiment and task.") {
  if (!figure) {
    Plotly.purge(target);
    target.replaceChildren(element("div", why, { className: "empty" }));
    return;
  }
  target.querySelectorAll(".empty").forEach((note) => note.remove());
  const data = figure.data.map((trace) => {
    const meta = trace.meta || {};
    return { ...trace, visible: !hidden.has(meta.variant) && (meta.kind !== "seed" || $("seeds").checked || trace.mode === "markers") };
  });
  Plotly.react(target, data, { ...figure.layout, autosize: true }, CONFIG);
}

const pick = (list, select) => list[select.selectedIndex];

function drawFigures() {
  const length = pick(task.length, $("length-choice"));
  draw($("length"), length?.figure);
  $("length-note").textContent = length?.note ?? "no bands";
  draw($("alignment"), pick(task.alignment, $("alignment-choice"))?.figure);
  const cost = pick(task.cost, $("cost-choice"));
  draw($("memory"), cost?.figures[0]);
  draw($("time"), cost?.figures[1], task.untimed || undefined);
  $("untimed").textContent = cost?.figures[1] ? task.untimed : "";
  draw($("curves"), task.curves);
}

function drawMaps() {
  const template = task.curves?.layout.template; // stored once, not in each of thousands of heat maps
  document.querySelectorAll("select.run").forEach((select, side) => {
    const example = pick(task.heat.runs, select)?.examples[$("example").selectedIndex];
    select.nextElementSibling.textContent = example ? `reference: ${example.reference}` : "";
    draw($(`map-${side}`), example && { ...example.figure, layout: { template, ...example.figure.layout } });
  });
}

function legend() {
  $("legend").replaceChildren(...task.variants.map((variant) => {
    const chip = element("button", undefined, { type: "button", className: variant.fixed ? "chip fixed" : "chip" });
    const line = element("span", "", { className: "line" });
    const glyph = element("span", `${variant.glyph} `);
    line.style.borderColor = glyph.style.color = variant.color;
    const fewer = variant.n < variant.planned ? ` (n = ${variant.n} of ${variant.planned})` : "";
    chip.append(line, glyph, element("span", variant.name, { className: "name" }), fewer);
    chip.title = variant.name;
    chip.setAttribute("aria-pressed", !hidden.has(variant.name));
    chip.addEventListener("click", () => {
      if (!hidden.delete(variant.name)) hidden.add(variant.name);
      chip.setAttribute("aria-pressed", !hidden.has(variant.name));
      drawFigures();
    });
    return chip;
  }));
}

function plainTable(table, columns, rows) {
  const head = element("tr");
  head.append(...columns.map((name) => element("th", name)));
  const body = element("tbody");
  body.append(...rows.map((cells) => {
    const row = element("tr");
    row.append(...cells.map((text) => element("td", text)));
    return row;
  }));
  const top = element("thead");
  top.append(head);
  table.replaceChildren(top, body);
}

function runsTable() {
  const table = document.querySelector("#runs table");
  const { columns, rows } = experiment.runs;
  const isNumber = columns.map((_, index) => rows.some((cells) => typeof cells[index][1] === "number"));
  const long = new Set(["reason", "variant", "data"]);
  const lines = rows.map((cells) => {
    const [status] = cells[0];
    const row = element("tr", undefined, { className: status === "finished" ? "" : ["missing", "preempted", "queued", "running", "older code", "newer code"].includes(status) ? "unfinished" : "failed" });
    row.append(...cells.map(([text], index) => element("td", text, { className: isNumber[index] ? "number" : long.has(columns[index]) ? "long" : "" })));
    return { row, cells, text: cells.map(([text]) => text).join(" ").toLowerCase() };
  });
  const body = element("tbody");
  body.append(...lines.map(({ row }) => row));
  const head = element("tr");
  head.append(...columns.map((name, index) => {
    const cell = element("th", undefined, { className: isNumber[index] ? "number" : "" });
    const button = element("button", name, { type: "button" });
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      head.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...lines].sort((a, b) => order(a.cells[index][1], b.cells[index][1], down)).map(({ row }) => row));
    });
    cell.append(button);
    return cell;
  }));
  const top = element("thead");
  top.append(head);
  table.replaceChildren(top, body);
  const filter = () => {
    const words = $("filter").value.toLowerCase().split(/\s+/);
    lines.forEach(({ row, text }) => { row.hidden = !words.every((word) => text.includes(word)); });
    $("shown").textContent = `${lines.filter(({ row }) => !row.hidden).length} of ${lines.length} shown`;
  };
  $("filter").oninput = filter;
  filter();
}

// Cells without a value come last in both sort directions.
function order(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null);
  const sign = typeof a === "number" ? a - b : a.localeCompare(b);
  return down ? -sign : sign;
}

function chooseTask() {
  task = pick(experiment.tasks, $("task"));
  const { columns, rows } = task.summary;
  plainTable($("summary"), columns, rows);
  $("data-read").replaceChildren(...task.data.map((line) => element("div", line)));
  for (const part of ["length", "alignment", "cost"]) options($(`${part}-choice`), task[part].map(({ name }) => name));
  document.querySelectorAll("select.run").forEach((select, side) => {
    options(select, task.heat.runs.map(({ name }) => name));
    if (side === 1 && task.heat.runs.length > 1 && select.selectedIndex === 0) select.selectedIndex = 1;
  });
  $("heat-note").textContent = task.heat.note;
  const examples = Math.max(0, ...task.heat.runs.map((run) => run.examples.length));
  options($("example"), Array.from({ length: examples }, (_, index) => `${index + 1}`));
  legend();
  drawFigures();
  drawMaps();
}

function chooseExperiment() {
  experiment = pick(DATA.experiments, $("experiment"));
  options($("task"), experiment.tasks.map(({ name }) => name));
  runsTable();
  chooseTask();
}

plainTable($("counts"), DATA.counts.columns, DATA.counts.rows);
$("answers").replaceChildren(...DATA.answers.map((line) => element("p", line)));
$("notes").replaceChildren(...DATA.notes.map((line) => element("p", line, { className: "note" })));
options($("experiment"), DATA.experiments.map(({ name }) => name));
$("experiment").addEventListener("change", chooseExperiment);
$("task").addEventListener("change", chooseTask);
for (const id of ["seeds", "length-choice", "alignment-choice", "cost-choice"]) $(id).addEventListener("change", drawFigures);
$("example").addEventListener("change", drawMaps);
document.querySelectorAll("select.run").forEach((select) => select.addEventListener("change", drawMaps));
chooseExperiment();
