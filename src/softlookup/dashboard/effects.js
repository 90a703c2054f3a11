// Effects: differences of each variant to its reference, paired by seed, with 95 % intervals.
function effectOf(view, variant) {
  const { task, measure, span } = view,
    reference = referenceOf(view, variant);
  const found = { variant, reference, name: task.variants[variant].name, pairs: 0, difference: null, why: "" };
  if (reference === null) {
    return { ...found, why: state.reference ? `${state.reference} has no run here` : "no comparable fixed context" };
  }
  if (reference === variant) return { ...found, difference: 0 };
  const why = task.whys[task.why[variant * task.variants.length + reference]];
  if (why) return { ...found, why };
  const mine = bySeed(view, variant, measure, span),
    other = bySeed(view, reference, measure, span);
  const differences = [...mine]
    .filter(([seed]) => other.has(seed))
    .sort(([one], [next]) => one - next)
    .map(([seed, value]) => value - other.get(seed));
  if (!differences.length) return { ...found, why: mine.size && other.size ? "no seed in common" : "not measured" };
  const primary = view.filtered
    ? undefined
    : task.primary.find(
        (row) =>
          row.variant === variant &&
          row.reference === reference &&
          row.measure === measure &&
          row.span === span &&
          row.pairs === differences.length,
      );
  return {
    ...found,
    pairs: differences.length,
    ...interval(differences),
    ...bootstrap(differences),
    p: signFlip(differences),
    primary,
  };
}

const effectsOf = remembered((view) => {
  const sign = measureOf(view.measure).better === "lower" ? -1 : 1;
  const all = view.variants.map((variant) => effectOf(view, variant));
  return {
    rows: all
      .filter(({ why }) => !why)
      .sort((a, b) => sign * (b.difference - a.difference) || a.name.localeCompare(b.name)),
    left: all.filter(({ why }) => why),
  };
});

const isReference = ({ variant, reference }) => variant === reference;

function gainText({ difference, low, high }, measure) {
  return `${gained(measure, difference)}${Number.isNaN(low) ? "" : ` ${rangeText(low, high, measure)}`}`;
}

// The interval of the bootstrap where it differs from that of Student's t.
function bootText(row, measure) {
  return apart(row) ? `, bootstrap ${rangeText(row.bootstrapLow, row.bootstrapHigh, measure)}` : "";
}

function sureText({ primary, p, pairs }) {
  if (primary) return `Holm p = ${pText(primary.p_holm)}`;
  return p === null ? `p not computed for ${pairs} pairs` : `p = ${pText(p)}, not corrected`;
}

const baseText = (view) =>
  state.reference ||
  (() => {
    const usual = hasFixed(view.task) ? "the best fixed context on validation" : "the first of the plan";
    const names = new Set(
      view.variants
        .map((v) => view.task.best[v])
        .filter((v) => v !== null)
        .map((v) => view.task.variants[v].name),
    );
    return names.size === 1
      ? `${[...names][0]}, ${usual}`
      : usual;
  })();

const effectsPanel = {
  name: "effects",
  file: (view) => slug(view.title, view.measure, "gain-at", view.span, state.reference && `over-${state.reference}`),
  title: (view) => `Gain in ${measureOf(view.measure).title}${at(view.task, view.measure, view.span)}`,
  note(view) {
    const { left, rows } = effectsOf(view);
    const marks = rows.some(({ primary }) => primary)
      ? " Large: primary, Holm p; small: exploratory."
      : " Exploratory, not corrected.";
    const few = left
      .slice(0, 3)
      .map(({ name, why }) => `${name} (${why})`)
      .join("; ");
    const more = left.length > 3 ? `; and ${left.length - 3} more` : "";
    const ends = rows.some((row) => apart(row)) ? " ×: ends of the bootstrap interval, where it differs." : "";
    return (
      `Mean and 95 % t interval, paired by seed, over ${baseText(view)}.${marks}${ends}` +
      `${left.length ? ` Not compared: ${few}${more}.` : ""}`
    );
  },
  says: (view) =>
    effectsOf(view)
      .rows.filter((row) => !isReference(row))
      .map(
        (row) =>
          `${row.name} ${gainText(row, view.measure)}${bootText(row, view.measure)} ${pointsOf(view.measure)}, ` +
          sureText(row),
      )
      .join("; "),
  table(view) {
    const rows = effectsOf(view).rows.filter((row) => !isReference(row));
    const columns = [
      "task",
      "variant",
      "reference",
      "measure",
      "span",
      "pairs",
      "difference",
      "low",
      "high",
      "bootstrap_low",
      "bootstrap_high",
      "p",
      "p_holm",
      "kind",
    ];
    return {
      columns,
      rows: rows.map(({ name, reference, pairs, difference, low, high, bootstrapLow, bootstrapHigh, p, primary }) => [
        view.task.name,
        name,
        view.task.variants[reference].name,
        view.measure,
        view.span,
        pairs,
        difference,
        low,
        high,
        bootstrapLow,
        bootstrapHigh,
        primary?.p ?? p,
        primary?.p_holm,
        primary ? "primary" : "exploratory, not corrected",
      ]),
    };
  },
  figure(view, width) {
    const { rows, left } = effectsOf(view);
    if (!rows.some((row) => !isReference(row))) {
      return {
        why: left.length
          ? "No two variants can be compared here."
          : "No variant here may be compared with another one.",
      };
    }
    const wide = width > 520,
      { scale } = measureOf(view.measure);
    const data = rows.map((row, place) => {
      const { variant, difference, low, high, primary, name } = row,
        look = lookOf(view.task, variant);
      const sized = primary ? 12 : 7;
      const reference = view.task.variants[row.reference].name;
      const hover = isReference(row)
        ? `<b>${literal(name)}</b>: the reference`
        : `<b>${literal(name)}</b> over ${literal(reference)}<br>${gainText(row, view.measure)} ${pointsOf(view.measure)}` +
          `${bootText(row, view.measure)}, ` +
          `${row.pairs} pairs of seeds<br>${sureText(row)}, ${primary ? "primary" : "exploratory"}`;
      const half =
        Number.isNaN(low) || low === undefined
          ? {}
          : {
              error_x: {
                type: "data",
                symmetric: false,
                array: [(high - difference) / scale],
                arrayminus: [(difference - low) / scale],
                color: look.color,
                thickness: primary ? 3 : 1.5,
                width: 5,
              },
            };
      return tagged(name, primary ? "primary" : isReference(row) ? "reference" : "exploratory", {
        x: [difference / scale],
        y: [place],
        mode: "markers",
        marker: markerOf(look, isReference(row) ? 8 : sized),
        ...half,
        hovertemplate: `${hover}<extra></extra>`,
      });
    });
    rows.forEach((row, place) => {
      if (!apart(row)) return;
      const x = [row.bootstrapLow / scale, row.bootstrapHigh / scale],
        marker = { ...markerOf(lookOf(view.task, row.variant), 9), symbol: "x-thin" };
      data.push(tagged(row.name, "bootstrap", { x, y: [place, place], mode: "markers", marker, hoverinfo: "skip" }));
    });
    const words = rows.map((row) => {
      const sure = row.primary && wide ? `  p ${pText(row.primary.p_holm)}` : "";
      return isReference(row) ? " reference" : ` ${gainText(row, view.measure)}${sure}`;
    });
    data.push(
      tagged("", "text", {
        x: rows.map(() => 1),
        y: rows.map((_, place) => place),
        xaxis: "x2",
        mode: "text",
        text: words,
        textposition: "middle right",
        textfont: { size: 12 },
        cliponaxis: false,
        hoverinfo: "skip",
      }),
    );
    return {
      data,
      layout: {
        height: 54 + 22 * rows.length,
        margin: { l: nameWidth(view, rows, wide), r: 8 + widest(words, 12), t: 4, b: 42 },
        xaxis2: { overlaying: "x", range: [0, 1], visible: false, fixedrange: true },
        shapes: [{ type: "line", x0: 0, x1: 0, yref: "paper", y0: 0, y1: 1, line: { color: themed("ink"), width: 1 } }],
        xaxis: axis({
          title: {
            text: `gain (${pointsOf(view.measure) || literal(measureOf(view.measure).title, 30)}; ${better(view.measure)})`,
          },
        }),
        yaxis: names(view, rows, wide),
      },
    };
  },
};

const nameText = (view, variant, wide) =>
  `${literal(middle(shortNames(view).get(variant), wide ? 30 : 17))} ${lookOf(view.task, variant).glyph}`;
const nameWidth = (view, rows, wide) => 8 + widest(rows.map(({ variant }) => nameText(view, variant, wide)));

// Rows of variants, the first on top, with their names.
function names(view, rows, wide) {
  return axis({
    tickvals: rows.map((_, place) => place),
    range: [rows.length - 0.4, -0.6],
    showgrid: false,
    ticks: "",
    ticktext: rows.map(({ variant }) => nameText(view, variant, wide)),
  });
}
