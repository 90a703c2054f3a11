// Quality by source length: mean over seeds, with the trained range shaded.
const bucketsOf = (task) => task.spans.filter(({ name }) => !PARTS.includes(name));

// Of a variant at each bucket that has values: the middle, the mean, the bounds and the number of seeds.
const linesOf = remembered((view) => new Map(view.variants.map((variant) => [variant, pointsBy(view, variant)])));
const lineOf = (view, variant) => linesOf(view).get(variant);

function pointsBy(view, variant) {
  const { task, measure } = view;
  return bucketsOf(task)
    .map(({ name, low, high }) => {
      const seeds = bySeed(view, variant, measure, name),
        values = [...seeds.values()];
      if (!values.length) return null;
      const [run] = view.runsOf.get(variant);
      const bounds = ["low", "high"].map((end) => task.bands[end][measure]?.[name]?.[run] ?? NaN);
      const resampled = values.length === 1 && !Number.isNaN(bounds[0]);
      const [least, most] = resampled ? bounds : [Math.min(...values), Math.max(...values)];
      return { span: name, low, high, middle: (low + high) / 2, mean: mean(values), least, most, resampled, seeds };
    })
    .filter(Boolean);
}

function bandText(view) {
  const lines = view.variants.flatMap((variant) => lineOf(view, variant));
  const several = lines.some(({ seeds }) => seeds.size > 1),
    resampled = lines.some((point) => point.resampled);
  const boot = "95 % of 1,000 bootstrap resamples of the test sentences";
  if (several) return `bands: lowest to highest seed${resampled ? `; where there is a single one, ${boot}` : ""}`;
  return resampled ? `bands: ${boot} (one seed)` : "one seed: no bands";
}

const lengthsPanel = {
  name: "lengths",
  file: (view) => slug(view.title, view.measure, "by-length"),
  title: (view) => `${measureOf(view.measure).title} by source length`,
  note(view) {
    const lacking = view.variants
      .filter((variant) => !lineOf(view, variant).length)
      .map((v) => view.task.variants[v].name);
    const absent =
      lacking.length && lacking.length < view.variants.length ? ` Absent, not 0: ${lacking.join(", ")}.` : "";
    return `Mean over seeds; ${bandText(view)}. Dashed: fixed contexts.${absent}`;
  },
  says: (view) =>
    view.variants
      .map((variant) => {
        const line = lineOf(view, variant),
          one = ({ span, mean: value }) => `${shown(view.measure, value)} at ${span}`;
        return line.length
          ? `${view.task.variants[variant].name}: ${one(line[0])} to ${one(line.at(-1))} ${view.task.unit}`
          : "";
      })
      .filter(Boolean)
      .join("; "),
  table(view) {
    const rows = view.variants.flatMap((variant) =>
      lineOf(view, variant).flatMap(({ low, high, seeds }) =>
        [...seeds].map(([seed, value]) => [
          view.task.name,
          view.task.variants[variant].name,
          seed,
          low,
          high,
          view.measure,
          value,
        ]),
      ),
    );
    return { columns: ["task", "variant", "seed", "low", "high", "measure", "value"], rows };
  },
  figure(view) {
    const { task, measure } = view,
      data = [],
      { unit } = measureOf(measure);
    for (const variant of view.variants) {
      const line = lineOf(view, variant),
        look = lookOf(task, variant),
        { name } = task.variants[variant];
      if (!line.length) continue;
      const xs = line.map(({ middle }) => middle),
        chosen = state.reference === name;
      const hover = unit === "%" ? (key) => `%{${key}:.1%}` : (key) => `%{${key}:.3~g}`;
      data.push(
        tagged(name, "band", {
          x: [...xs, ...[...xs].reverse()],
          mode: "lines",
          line: { width: 0 },
          fill: "toself",
          y: [...line.map(({ most }) => most), ...line.map(({ least }) => least).reverse()],
          fillcolor: faint(look.color, 0.13),
          hoverinfo: "skip",
        }),
      );
      if (state.seeds) data.push(seedLines(name, look, line));
      data.push(
        tagged(name, "mean", {
          x: xs,
          y: line.map((point) => point.mean),
          mode: "lines+markers",
          customdata: line.map(({ least, most, seeds, span }) => [least, most, seeds.size, span]),
          line: { color: look.color, dash: look.dash, width: chosen ? 4.5 : 2.5 },
          marker: markerOf(look, 7),
          hovertemplate: `<b>${literal(name)}</b> at %{customdata[3]} ${task.unit}: ${hover("y")}<br>${
            line[0].resampled ? "95 % of resamples" : "seeds"
          } ${hover("customdata[0]")} to ${hover("customdata[1]")}, n = %{customdata[2]}<extra></extra>`,
        }),
      );
    }
    if (!data.length) return { why: `${measureOf(measure).title} was not measured by source length here.` };
    const { shapes, annotations } = trainedRange(view);
    return {
      data,
      layout: {
        height: 250,
        margin: { l: 56, r: 14, t: 22, b: 40 },
        shapes,
        annotations,
        xaxis: axis({ title: { text: `source length (${task.unit})` }, rangemode: "tozero" }),
        yaxis: measured(measure, "", task, unit === "%" ? { range: [-0.02, 1.04] } : {}),
      },
    };
  },
};

function seedLines(name, look, line) {
  const seeds = [...new Set(line.flatMap(({ seeds: some }) => [...some.keys()]))],
    xs = [],
    ys = [];
  for (const seed of seeds) {
    for (const point of line)
      if (point.seeds.has(seed)) {
        xs.push(point.middle);
        ys.push(point.seeds.get(seed));
      }
    xs.push(null);
    ys.push(null);
  }
  return tagged(name, "seed", {
    x: xs,
    y: ys,
    mode: "lines",
    hoverinfo: "skip",
    line: { color: faint(look.color, 0.55), dash: look.dash, width: 1 },
  });
}

// Shade the trained lengths, draw a line at each longest one, and outline the chosen bucket.
function trainedRange({ task, span }) {
  const upright = { yref: "paper", y0: 0, y1: 1 },
    above = { yref: "paper", y: 1, yanchor: "bottom" };
  const shapes = task.longest.map((longest) => ({
    type: "line",
    x0: longest,
    x1: longest,
    ...upright,
    line: { color: themed("soft"), width: 1.5, dash: "dot" },
  }));
  const annotations = task.longest.map((longest, place) =>
    note(place ? `${longest}` : `trained to ${longest}`, { x: longest, xanchor: place ? "left" : "right", ...above }),
  );
  if (task.longest.length) {
    shapes.unshift({
      type: "rect",
      x0: 0,
      x1: task.longest[0],
      ...upright,
      line: { width: 0 },
      fillcolor: themed("trained"),
      layer: "below",
    });
  }
  const bucket = bucketsOf(task).find(({ name }) => name === span);
  if (bucket) {
    shapes.push({
      type: "rect",
      x0: bucket.low - 0.6,
      x1: bucket.high + 0.6,
      ...upright,
      layer: "below",
      line: { color: themed("soft"), width: 1, dash: "dash" },
      fillcolor: themed("pale"),
    });
    annotations.push(note("gain above", { x: (bucket.low + bucket.high) / 2, xanchor: "left", ...above }));
  }
  return { shapes, annotations };
}
