// Learning curves: validations by target tokens seen, or by seconds.
const CURRICULUM = "curriculum/length";

function curveNames({ task, measure }) {
  const rank = (name) =>
    name === CURRICULUM ? 9 : name === `validation/${measure}` ? 0 : name === "validation/loss" ? 2 : 1;
  return Object.keys(task.curves.values).sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

// The validations of each variant in a view: places in task.curves, by variant and run.
const recordsOf = remembered(({ task, runs }) => {
  const wanted = new Set(runs),
    found = new Map();
  task.curves.run.forEach((run, place) => {
    if (!wanted.has(run)) return;
    const variant = task.variant[run];
    if (!found.has(variant)) found.set(variant, new Map());
    if (!found.get(variant).has(run)) found.get(variant).set(run, []);
    found.get(variant).get(run).push(place);
  });
  return found;
});

// Mean, least and most of a measure over the runs of a variant, at each step that all of them validated.
function curveOf({ curves }, byRun, name) {
  const x = curves[state.time],
    y = curves.values[name],
    steps = new Map();
  for (const places of byRun.values())
    for (const place of places)
      if (!Number.isNaN(y[place]) && !Number.isNaN(x[place]))
        steps.set(curves.step[place], [...(steps.get(curves.step[place]) ?? []), place]);
  const most = Math.max(0, ...[...steps.values()].map((places) => places.length));
  return [...steps]
    .filter(([, places]) => places.length === most)
    .sort(([a], [b]) => a - b)
    .map(([, places]) => {
      const values = places.map((place) => y[place]);
      return {
        x: mean(places.map((place) => x[place])),
        mean: mean(values),
        least: Math.min(...values),
        most: Math.max(...values),
        n: values.length,
      };
    });
}

const curvesPanel = {
  name: "curves",
  file: (view) => slug(view.title, "learning-curves-by", state.time),
  title: () => `Learning curves by ${state.time === "tokens" ? "target tokens" : "seconds"}`,
  note: () =>
    `Mean over seeds, bands from the lowest to the highest one${
      state.time === "tokens"
        ? "; equal tokens are an equal budget"
        : "; wall time of runs that shared the machine, so no measure of speed"
    }.`,
  says: (view) =>
    [...recordsOf(view)]
      .map(([variant, byRun]) => {
        const [name] = curveNames(view),
          last = curveOf(view.task, byRun, name).at(-1);
        return last
          ? `${view.task.variants[variant].name}: ${measureOf(name).title} ${shown(name, last.mean)} at the end`
          : "";
      })
      .filter(Boolean)
      .join("; "),
  table(view) {
    const { task } = view,
      { curves } = task,
      names_ = curveNames(view),
      rows = [];
    for (const [variant, byRun] of recordsOf(view))
      for (const [run, places] of byRun)
        for (const place of places)
          rows.push([
            task.name,
            task.variants[variant].name,
            task.seeds[run],
            curves.step[place],
            curves.tokens[place],
            curves.seconds[place],
            ...names_.map((name) => curves.values[name][place]),
          ]);
    return { columns: ["task", "variant", "seed", "step", "tokens", "seconds", ...names_], rows };
  },
  figure(view) {
    const { task } = view,
      records = recordsOf(view),
      shownNames = curveNames(view),
      data = [];
    const axes = {
      xaxis: axis({
        title: { text: state.time === "tokens" ? "target tokens seen" : "seconds of training" },
        rangemode: "tozero",
        anchor: `y${shownNames.length > 1 ? shownNames.length : ""}`,
      }),
    };
    const slice = 1 / shownNames.length;
    shownNames.forEach((name, row) => {
      const number = row ? String(row + 1) : "",
        share = measureOf(name).unit === "%";
      axes[`yaxis${number}`] = {
        ...measured(name, "", task, {
          domain: [
            Math.max(0, 1 - (row + 1) * slice + (row < shownNames.length - 1 ? 0.03 : 0)),
            1 - row * slice - (row ? 0.03 : 0),
          ],
          anchor: "x",
        }),
      };
      const title = literal(measureOf(name).title, 40).replace("validation ", "validation<br>");
      axes[`yaxis${number}`].title = { text: title, standoff: 5, font: { size: 12 } };
      for (const [variant, byRun] of records) {
        const look = lookOf(task, variant),
          label = task.variants[variant].name,
          line = curveOf(task, byRun, name);
        if (!line.length) continue;
        const xs = line.map(({ x }) => x),
          form = share ? ".1%" : ".4~g",
          shape = name === CURRICULUM ? "hv" : "linear";
        data.push(
          tagged(label, "band", {
            x: [...xs, ...[...xs].reverse()],
            y: [...line.map(({ most }) => most), ...line.map(({ least }) => least).reverse()],
            yaxis: `y${number}`,
            mode: "lines",
            line: { width: 0 },
            fill: "toself",
            fillcolor: faint(look.color, 0.13),
            hoverinfo: "skip",
          }),
        );
        data.push(
          tagged(label, "mean", {
            x: xs,
            y: line.map((point) => point.mean),
            yaxis: `y${number}`,
            mode: "lines",
            line: { color: look.color, dash: look.dash, width: state.reference === label ? 4 : 2, shape },
            hovertemplate: `<b>${literal(label)}</b><br>%{y:${form}} at %{x:,.4~g} ${state.time}, n = ${line[0].n}<extra></extra>`,
          }),
        );
        if (state.seeds) data.push(curveSeeds(task, byRun, name, label, look, `y${number}`));
      }
    });
    if (!data.length) return { why: "No validation was recorded here." };
    return { data, layout: { height: 120 + 150 * shownNames.length, margin: { l: 88, r: 14, t: 8, b: 44 }, ...axes } };
  },
};

function curveSeeds({ curves }, byRun, name, label, look, yaxis) {
  const places = [...byRun.values()].flatMap((some) => [...some, -1]);
  return tagged(label, "seed", {
    yaxis,
    mode: "lines",
    hoverinfo: "skip",
    line: { color: faint(look.color, 0.5), dash: look.dash, width: 1 },
    x: places.map((place) => (place < 0 ? null : curves[state.time][place])),
    y: places.map((place) => (place < 0 ? null : curves.values[name][place])),
  });
}
