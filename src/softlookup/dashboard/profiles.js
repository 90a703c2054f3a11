// The performance profile of each variant: the share of its runs above every value (Agarwal et al. 2021).
const sortedValues = (view, variant) => [...bySeed(view, variant, view.measure, view.span).values()].sort((a, b) => a - b);

// The mean of the middle half: of n values, the floor(n / 4) lowest and highest are left out. NaN without values.
function interquartileMean(values) {
  const sorted = [...values].sort((a, b) => a - b),
    cut = Math.floor(sorted.length / 4);
  return sorted.length ? mean(sorted.slice(cut, sorted.length - cut)) : NaN;
}

const profilesPanel = {
  name: "profiles",
  file: (view) => slug(view.title, view.measure, "profile", view.span),
  title: (view) => `Share of runs above each ${measureOf(view.measure).title}`,
  note: (view) =>
    `Performance profile${at(view.task, view.measure, view.span)}: where one line is above another everywhere, its runs are better. ` +
    "Dashed: fixed contexts.",
  says: (view) =>
    view.variants
      .map((variant) => [view.task.variants[variant].name, sortedValues(view, variant)])
      .filter(([, values]) => values.length)
      .map(([name, values]) => `${name}: interquartile mean ${shown(view.measure, interquartileMean(values))}`)
      .join("; "),
  table(view) {
    const rows = view.variants.flatMap((variant) => {
      const values = sortedValues(view, variant);
      const share = (value) => values.filter((other) => other > value).length / values.length;
      return values.map((value) => [view.task.name, view.task.variants[variant].name, view.span, value, share(value)]);
    });
    return { columns: ["task", "variant", "span", `${view.measure} above`, "share of runs"], rows };
  },
  figure(view) {
    const { scale, unit } = measureOf(view.measure),
      by = unit === "%" ? 1 : scale,
      all = view.variants.flatMap((variant) => sortedValues(view, variant));
    if (!all.length) return { why: `No run has ${measureOf(view.measure).title}${at(view.task, view.measure, view.span)}.` };
    const low = Math.min(...all),
      high = Math.max(...all),
      edge = (high - low || Math.abs(high) || 1) * 0.05;
    const data = view.variants.flatMap((variant) => {
      const values = sortedValues(view, variant),
        look = lookOf(view.task, variant),
        { name, fixed } = view.task.variants[variant];
      if (!values.length) return [];
      // The share falls at each value: a step down after it.
      const xs = [low - edge, ...values, high + edge].map((value) => value / by),
        ys = [1, ...values.map((_, place) => 1 - (place + 1) / values.length), 0];
      return tagged(name, "mean", {
        x: xs,
        y: ys,
        mode: "lines",
        line: { shape: "hv", color: look.color, width: 2.5, dash: fixed ? "dash" : "solid" },
        hovertemplate: `<b>${literal(name)}</b><br>%{y:.0%} of ${values.length} runs above %{x:.4~g}<extra></extra>`,
      });
    });
    return {
      data,
      layout: {
        height: 300,
        xaxis: { ...measured(view.measure, "", view.task), rangemode: "normal" },
        yaxis: axis({ title: { text: "share of runs" }, tickformat: ".0%", range: [-0.03, 1.05] }),
      },
    };
  },
};
