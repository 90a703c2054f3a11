// Means of each variant: of the measure at all, trained, longer and the chosen lengths, and costs.
const meansPanel = {
  name: "means",
  file: (view) => slug(view.title, view.measure, "means"),
  table(view) {
    const { task, measure } = view,
      shownParts = parts(view);
    const costs = COSTS.map(([cost]) => cost).filter((cost) => cost in task.values);
    const columns = [
      "variant",
      "seeds",
      "planned",
      ...shownParts.flatMap((span) => [`${measure} ${spanText(task, span)}`, `${measure} ${spanText(task, span)} deviation`]),
      `${measure} ${spanText(task, view.span)} interquartile mean`,
      ...costs,
    ];
    const rows = view.variants.map((variant) => {
      const numbers = shownParts.map((span) => [...bySeed(view, variant, measure, span).values()]);
      const runs = view.runs.filter((run) => task.variant[run] === variant).length;
      return [
        task.variants[variant].name,
        runs,
        task.variants[variant].planned,
        ...numbers.flatMap((values) => [values.length ? mean(values) : NaN, deviation(values)]),
        interquartileMean(bySeed(view, variant, measure, view.span).values()),
        ...costs.map((cost) => meanCost(view, variant, cost)),
      ];
    });
    return { columns, rows };
  },
};

const isDeviation = (column) => column.endsWith(" deviation");

function meansTable(view) {
  const { columns, rows } = meansPanel.table(view),
    measure = view.measure;
  const heads = ["variant", "seeds"],
    cells = rows.map(([name, n, planned]) => [name, n === planned ? `${n}` : `${n} of ${planned}`]);
  columns.forEach((column, place) => {
    if (place < 3 || isDeviation(column)) return;
    const middle = column.endsWith("interquartile mean"),
      cost = !isDeviation(columns[place + 1] ?? "") && !middle,
      { scale } = measureOf(measure);
    heads.push(middle ? "IQM" : cost ? measureOf(column).title : spanText(view.task, parts(view)[(place - 3) / 2]));
    rows.forEach((row, line) => {
      const spread =
        cost || middle || Number.isNaN(row[place + 1])
          ? ""
          : ` ± ${(row[place + 1] / scale).toFixed(digits(row[place + 1] / scale))}`;
      cells[line].push(`${shown(cost ? column : measure, row[place])}${spread}`);
    });
  });
  const table = element("table");
  fill(table, { columns: heads, rows: cells });
  const button = element("button", { type: "button", "aria-label": `save as CSV: means of ${view.title}` }, "CSV");
  button.addEventListener("click", () =>
    save(`${slug(experimentNow().name, meansPanel.file(view))}.csv`, "text/csv", csv(meansPanel.table(view))),
  );
  return element(
    "div",
    { className: "panel means" },
    element(
      "div",
      { className: "head" },
      element("h3", {}, view.title),
      element("div", { className: "tools" }, button),
    ),
    element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `means of ${view.title}` }, table),
  );
}

const parts = (view) =>
  view.task.spans.map(({ name }) => name).filter((name) => PARTS.includes(name) || name === view.span);
