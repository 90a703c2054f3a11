// Tables: all runs, planned runs by status, and data.
const MOST_ROWS = 200; // of the table of runs, before all are asked for
let allRows = false;

// All runs of the shown tasks that match, with the chosen measure.
function runRows() {
  const { runs } = experimentNow(),
    names_ = tasksNow().map(({ name }) => name),
    found = [];
  const byTask = new Map(
    tasksNow().map((task) => [
      task.name,
      {
        task,
        matches: matcher(task),
        place: new Map(task.ids.map((id, run) => [id, run])),
        variants: new Map(task.variants.map(({ name }, variant) => [name, variant])),
        view: placed({ task, facet: null, pool: [], variants: task.variants.map((_, v) => v) }),
      },
    ]),
  );
  runs.id.forEach((id, row) => {
    const one = {
      id,
      task: runs.task[row],
      name: runs.variant[row],
      seed: runs.seed[row],
      status: runs.status[row],
      reason: runs.reason[row],
      data: runs.data[row],
      page: runs.page[row],
    };
    if (!names_.includes(one.task) || state.hidden.has(one.name)) return;
    const { task, matches, place, variants, view } = byTask.get(one.task);
    if (!matches({ ...one, variant: variants.get(one.name) })) return;
    const run = place.get(id),
      value = (name, span) => (run === undefined ? NaN : (valuesOf(task, name, span)?.[run] ?? NaN));
    found.push({
      ...one,
      measure: view.measure,
      span: view.span,
      where: whole(view.measure) ? "" : spanText(task, view.span),
      value: value(view.measure, view.span),
      ...Object.fromEntries(
        [...COSTS.map(([cost]) => cost).filter((cost) => !cost.startsWith("timing/")), "cost/seconds"].map((cost) => [
          cost,
          value(cost, "all"),
        ]),
      ),
    });
  });
  return found;
}

function runColumns(rows) {
  const [first] = rows,
    label = first ? `${measureOf(first.measure).title}` : "value";
  const columns = [
    ["status", "status"],
    ["reason", "reason"],
    ["task", "task"],
    ["name", "variant"],
    ["seed", "seed"],
    ["where", "length"],
    ["value", label],
    ...["cost/peak_bytes", "cost/parameters", "cost/seconds"].map((cost) => [cost, measureOf(cost).title]),
    ["data", "data"],
    ["id", "run"],
  ];
  return columns.filter(([key]) => !["reason", "data"].includes(key) || rows.some((row) => row[key]));
}

// Rows without a value come last in both directions.
function order(a, b, down) {
  const none = (value) => value === "" || Number.isNaN(value) || value === null;
  if (none(a) || none(b)) return none(a) - none(b);
  const sign = typeof a === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -sign : sign;
}

const sortedRows = () => {
  const key = state.sort.replace(/^-/, ""),
    rows = runRows();
  return key ? rows.sort((a, b) => order(a[key], b[key], state.sort.startsWith("-"))) : rows;
};

const runsCsv = () => {
  const rows = sortedRows(),
    columns = [
      "experiment",
      "status",
      "reason",
      "task",
      "variant",
      "seed",
      "span",
      "measure",
      "value",
      "cost/peak_bytes",
      "cost/parameters",
      "cost/seconds",
      "data",
      "run",
    ];
  return {
    columns,
    rows: rows.map((row) => [
      experimentNow().name,
      row.status,
      row.reason,
      row.task,
      row.name,
      row.seed,
      row.span,
      row.measure,
      row.value,
      row["cost/peak_bytes"],
      row["cost/parameters"],
      row["cost/seconds"],
      row.data,
      row.id,
    ]),
  };
};

function drawRuns() {
  const rows = sortedRows(),
    columns = runColumns(rows),
    few = allRows ? rows : rows.slice(0, MOST_ROWS);
  const total = experimentNow().runs.id.length;
  $("shown").textContent =
    `${rows.length} of ${total} runs${few.length < rows.length ? `, the first ${few.length} of them below` : ""}`;
  $("all-rows").hidden = few.length === rows.length;
  const numbers = ["seed", "value", "cost/peak_bytes", "cost/parameters", "cost/seconds"];
  const head = columns.map(([key, label]) => {
    const cell = element("th", { scope: "col", className: numbers.includes(key) ? "number" : "" }),
      button = element("button", { type: "button" }, label);
    if (state.sort.replace(/^-/, "") === key)
      cell.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
    button.dataset.sort = key;
    button.addEventListener("click", () => change({ sort: state.sort === key ? `-${key}` : key }));
    cell.append(button);
    return cell;
  });
  const line = (row) =>
    element(
      "tr",
      {
        className:
          row.status === "finished"
            ? ""
            : ["failed", "diverged", "out_of_memory"].includes(row.status)
              ? "failed"
              : "unfinished",
      },
      ...columns.map(([key]) => {
        const text =
          key === "value"
            ? shown(row.measure, row.value)
            : key.startsWith("cost/")
              ? shown(key, row[key])
              : key === "seed" && row.seed < 0
                ? "unknown"
                : String(row[key]);
        const cell = element("td", {
          className: numbers.includes(key) ? "number" : ["reason", "name", "data"].includes(key) ? "long" : "",
        });
        if (key !== "id")
          cell.textContent = row.status !== "finished" && (key === "value" || key.startsWith("cost/")) ? "–" : text;
        else cell.append(row.page ? element("a", { href: row.page }, text) : text);
        return cell;
      }),
      element("td", {}, row.status === "finished" ? compareButton(row) : ""),
    );
  const focused = document.activeElement?.dataset?.sort;
  document
    .querySelector("#runs table")
    .replaceChildren(
      element("thead", {}, element("tr", {}, ...head, element("th", { scope: "col" }, "side by side"))),
      element("tbody", {}, ...few.map(line)),
    );
  if (focused) document.querySelector(`#runs [data-sort="${CSS.escape(focused)}"]`)?.focus();
}

function compareButton({ id, name, seed }) {
  const button = element(
    "button",
    { type: "button", "aria-label": `compare ${name}, seed ${seed}, with the second run` },
    "compare",
  );
  button.addEventListener("click", () =>
    change({ first: id, second: state.first && state.first !== id ? state.first : state.second }),
  );
  return button;
}

function drawBooks() {
  const names_ = DATA.experiments.flatMap(({ counts }) => Object.keys(counts));
  const columns = ["experiment", ...new Set(names_)];
  fill($("counts"), {
    columns,
    rows: DATA.experiments.map(({ name, counts }) => [name, ...columns.slice(1).map((column) => counts[column] ?? 0)]),
  });
  $("data-read").replaceChildren(...experimentNow().data.map((text) => element("div", {}, text)));
  $("data-read").parentElement.hidden = !experimentNow().data.length;
}
