// Any measure or cost over any other: a point for each run, a large one for the mean of a variant.
const scatterX = () => state.x || "cost/peak_bytes";
const scatterY = (view) => state.y || view.measure;

// The runs of a variant that have both values.
function pointsIn(view, variant) {
  const y = bySeed(view, variant, scatterY(view), view.span);
  return [...bySeed(view, variant, scatterX(), view.span)]
    .filter(([seed]) => y.has(seed))
    .map(([seed, x]) => ({ seed, x, y: y.get(seed) }));
}

const scatterPanel = {
  name: "scatter",
  file: (view) => slug(view.title, scatterY(view), "over", scatterX(), view.span),
  title: (view) => `${measureOf(scatterY(view)).title} over ${measureOf(scatterX()).title}`,
  note(view) {
    const lacking = view.variants
      .filter((variant) => !pointsIn(view, variant).length)
      .map((v) => view.task.variants[v].name);
    const front = hasFront(view) ? " Grey: the Pareto front of the means, the best at each cost." : "";
    const absent =
      lacking.length && lacking.length < view.variants.length ? ` Absent, not 0: ${lacking.join(", ")}.` : "";
    return `Large marks are means, faint ones seeds${at(view.task, scatterY(view), view.span)}.${front}${absent}`;
  },
  says: (view) =>
    view.variants
      .map((variant) => {
        const points = pointsIn(view, variant);
        const meanOf = (key) => mean(points.map((point) => point[key]));
        return points.length
          ? `${view.task.variants[variant].name}: ${shown(scatterY(view), meanOf("y"))} for ${shown(scatterX(), meanOf("x"))}`
          : "";
      })
      .filter(Boolean)
      .join("; "),
  table(view) {
    const rows = view.variants.flatMap((variant) =>
      pointsIn(view, variant).map(({ seed, x, y }) => [
        view.task.name,
        view.task.variants[variant].name,
        seed,
        view.span,
        x,
        y,
      ]),
    );
    return { columns: ["task", "variant", "seed", "span", scatterX(), scatterY(view)], rows };
  },
  figure(view) {
    const xName = scatterX(),
      yName = scatterY(view),
      one = measureOf(xName),
      other = measureOf(yName);
    const scales = [one.unit === "%" ? 1 : one.scale, other.unit === "%" ? 1 : other.scale];
    const data = [],
      means = [];
    for (const variant of view.variants) {
      const points = pointsIn(view, variant),
        { name } = view.task.variants[variant],
        look = lookOf(view.task, variant);
      if (!points.length) continue;
      const xs = points.map(({ x }) => x / scales[0]),
        ys = points.map(({ y }) => y / scales[1]);
      const text = ([x, y]) =>
        [`${other.title} ${shown(yName, y * scales[1])}`, `${one.title} ${shown(xName, x * scales[0])}`]
          .map((line) => literal(line, 90))
          .join("<br>");
      means.push([mean(xs), mean(ys)]);
      data.push(
        tagged(name, "seed", {
          x: xs,
          y: ys,
          mode: "markers",
          marker: markerOf(look, 6, { opacity: 0.45, line: { width: 1, color: look.color } }),
          text: points.map(
            ({ seed }, place) => `<b>${literal(name)}</b>, seed ${seed}<br>${text([xs[place], ys[place]])}`,
          ),
          hovertemplate: "%{text}<extra></extra>",
        }),
      );
      data.push(
        tagged(name, "mean", {
          x: [mean(xs)],
          y: [mean(ys)],
          mode: "markers",
          marker: markerOf(look, state.reference === name ? 18 : 13),
          text: [`<b>${literal(name)}</b>, mean of ${points.length}<br>${text(means.at(-1))}`],
          hovertemplate: "%{text}<extra></extra>",
        }),
      );
    }
    if (!data.length)
      return { why: `No run has both ${other.title} and ${one.title}${at(view.task, yName, view.span)}.` };
    const xs = means.map(([x]) => x),
      ys = means.map(([, y]) => y);
    if (hasFront(view)) {
      const front = paretoFront(xs, ys),
        most = Math.max(...xs);
      data.unshift(
        tagged("", "front", {
          x: [...front.map((place) => xs[place]), most],
          y: [...front.map((place) => ys[place]), ys[front.at(-1)]],
          mode: "lines",
          line: { color: themed("soft"), width: 1.5, shape: "hv" },
          hoverinfo: "skip",
        }),
      );
    }
    if (one.unit === "%" && other.unit === "%")
      data.unshift(
        tagged("", "equal", {
          x: [0, 1],
          y: [0, 1],
          mode: "lines",
          line: { color: themed("grid"), width: 1 },
          hoverinfo: "skip",
        }),
      );
    const log = !one.unit.includes("%") && Math.min(...xs) > 0 && Math.max(...xs) > 20 * Math.min(...xs);
    return {
      data,
      layout: {
        height: 400,
        margin: { l: 84, r: 14, t: 12, b: 56 },
        xaxis: { ...measured(xName, view.span, view.task), ...(log ? { type: "log" } : {}) },
        yaxis: measured(yName, view.span, view.task),
      },
    };
  },
};

const hasFront = (view) => measureOf(scatterX()).better === "lower" && measureOf(scatterY(view)).better === "higher";
