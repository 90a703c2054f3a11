// Cost of each variant as ratios to the cheapest fixed context, or to the chosen reference.
const meanCosts = remembered(
  (view) =>
    new Map(
      COSTS.map(([cost]) => [
        cost,
        new Map(
          [...view.runsOf.keys()].map((variant) => {
            const values = [...bySeed(view, variant, cost, "all").values()];
            return [variant, values.length ? mean(values) : NaN];
          }),
        ),
      ]),
    ),
);
const meanCost = (view, variant, cost) => meanCosts(view).get(cost).get(variant);

// The ratios of one cost: those of each variant, and the name of what they are ratios to.
function ratiosOf(view, cost) {
  const { task } = view,
    means = meanCosts(view).get(cost);
  const known = [...means].filter(
    ([variant, value]) =>
      value > 0 &&
      (state.reference
        ? task.variants[variant].name === state.reference
        : task.variants[variant].fixed || !hasFixed(task)),
  );
  const [base, least] = known.sort((a, b) => a[1] - b[1])[0] ?? [null, NaN];
  return { base, ratios: new Map([...means].map(([variant, value]) => [variant, value / least])) };
}

// The costs that any variant has, and the time of a step, which says where it is absent.
const costsOf = (view) =>
  COSTS.filter(
    ([cost]) => cost === "timing/step" || view.variants.some((variant) => !Number.isNaN(meanCost(view, variant, cost))),
  );

// Variants in the order of their gains, so that rows of both panels are the same.
function costOrder(view) {
  const { rows, left } = effectsOf(view);
  return [...rows, ...left];
}

const costsPanel = {
  name: "costs",
  file: (view) => slug(view.title, "cost-ratios", state.reference && `to-${state.reference}`),
  title: () => "Cost",
  note(view) {
    const bases = [...new Set(costsOf(view).map(([cost]) => ratiosOf(view, cost).base).filter((base) => base !== null))];
    const cheapest = hasFixed(view.task) ? "the cheapest fixed context" : "the cheapest variant";
    const which = state.reference ? state.reference : cheapest;
    const named =
      state.reference || !bases.length ? "" : ` (${bases.map((base) => view.task.variants[base].name).join(", ")})`;
    return `Ratios to ${which}${named}; lower is better.`;
  },
  says: (view) =>
    view.variants
      .map(
        (variant) =>
          `${view.task.variants[variant].name}: ${costsOf(view).map(([cost, name]) => {
            const ratio = ratiosOf(view, cost).ratios.get(variant);
            return Number.isNaN(ratio) ? `${name} absent` : `${ratio.toFixed(2)} times the ${name}`;
          }).join(", ")}`,
      )
      .join("; "),
  table(view) {
    const rows = view.variants.flatMap((variant) =>
      costsOf(view).map(([cost]) => {
        const { base, ratios } = ratiosOf(view, cost);
        return [
          view.task.name,
          view.task.variants[variant].name,
          cost,
          meanCost(view, variant, cost),
          ratios.get(variant),
          base === null ? "" : view.task.variants[base].name,
        ];
      }),
    );
    return { columns: ["task", "variant", "cost", "mean", "ratio", "reference"], rows };
  },
  figure(view, width) {
    const rows = costOrder(view),
      costs = costsOf(view),
      bands = Math.ceil(costs.length / 3), // three costs beside each other, and the others below
      tall = 54 + 22 * rows.length,
      data = [],
      annotations = [],
      axes = {};
    for (let band = 0; band < bands; band++)
      axes[`yaxis${band ? band + 1 : ""}`] = {
        ...names(view, rows, width > 520),
        domain: [1 - (band * tall + 22 * rows.length) / (bands * tall - 54), 1 - (band * tall) / (bands * tall - 54)],
      };
    costs.forEach(([cost, name, short], place) => {
      const { ratios } = ratiosOf(view, cost),
        number = place ? String(place + 1) : "",
        band = Math.floor(place / 3),
        y = `y${band ? band + 1 : ""}`,
        column = place % 3;
      const present = rows
        .map(({ variant }, place) => [variant, place, ratios.get(variant)])
        .filter(([, , ratio]) => !Number.isNaN(ratio));
      const least = Math.min(1, ...present.map(([, , ratio]) => ratio)),
        most = Math.max(1.05, ...present.map(([, , ratio]) => ratio));
      const gap = most - least;
      axes[`xaxis${number}`] = axis({
        domain: [0.36 * column, 0.36 * column + 0.28],
        anchor: y,
        title: { text: width > 520 ? `× ${name}` : short, font: { size: width > 520 ? 13 : 11 } },
        tickangle: 0,
        ...(width > 520 ? { nticks: 3 } : { tickvals: [1] }),
        showticklabels: present.length > 0,
        range: [least - 0.12 * gap, most + (width > 520 ? 0.5 : 1.7) * gap],
      });
      axes.shapes = [
        ...(axes.shapes ?? []),
        {
          type: "line",
          xref: `x${number}`,
          x0: 1,
          x1: 1,
          yref: `${y} domain`,
          y0: 0,
          y1: 1,
          line: { color: themed("ink"), width: 1 },
        },
      ];
      if (!present.length)
        annotations.push(
          note(cost === "timing/step" ? "not timed" : "not measured", {
            xref: `x${number} domain`,
            x: 0.5,
            yref: `${y} domain`,
            y: 0.5,
          }),
        );
      const looks = present.map(([variant]) => lookOf(view.task, variant)),
        color = looks.map((look) => look.color);
      const hover = ([variant, , ratio]) =>
        `<b>${literal(view.task.variants[variant].name)}</b>: ${ratio.toFixed(3)} × the ${name}<br>` +
        `${literal(measureOf(cost).title)} ${literal(shown(cost, meanCost(view, variant, cost)))}`;
      data.push(
        tagged(
          present.map(([variant]) => view.task.variants[variant].name),
          cost,
          {
            x: present.map(([, , ratio]) => ratio),
            y: present.map(([, place]) => place),
            xaxis: `x${number}`,
            yaxis: y,
            mode: "markers+text",
            textposition: "middle right",
            cliponaxis: false,
            text: present.map(([, , ratio]) => ` ${ratio.toFixed(ratio < 10 ? 2 : 1)}`),
            textfont: { size: 12 },
            customdata: present.map(hover),
            marker: { color, symbol: looks.map(({ symbol }) => symbol), size: 8, line: { width: 2, color } },
            hovertemplate: "%{customdata}<extra></extra>",
          },
        ),
      );
    });
    if (!data.some(({ x }) => x.length))
      return {
        why: `No cost was measured here, or there is no ${state.reference || "fixed context"} to compare with.`,
      };
    return {
      data,
      layout: {
        height: bands * tall,
        margin: { l: nameWidth(view, rows, width > 520), r: 8, t: 12, b: 42 },
        ...axes,
        annotations,
      },
    };
  },
};
