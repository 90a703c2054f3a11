// From the state to what is shown: views (a task, or a part of it by one setting), their variants and runs.
// A function of a task or a view that is computed once for it; a change of the state makes new views.
function remembered(compute) {
  const known = new WeakMap();
  return (view) => {
    if (!known.has(view)) known.set(view, compute(view));
    return known.get(view);
  };
}

const PARTS = ["all", "trained", "beyond"];

const experimentNow = () => DATA.experiments.find(({ name }) => name === state.experiment) ?? DATA.experiments[0];
const tasksNow = () => {
  const { tasks } = experimentNow();
  return tasks.some(({ name }) => name === state.task) ? tasks.filter(({ name }) => name === state.task) : tasks;
};

// Settings in which the variants of a task differ.
const choicesOf = remembered(({ variants }) =>
  [...new Set(variants.flatMap(({ settings }) => Object.keys(settings)))].filter(
    (key) => new Set(variants.map(({ settings }) => JSON.stringify(settings[key]))).size > 1,
  ),
);
const choices = (tasks) =>
  [...new Set(tasks.flatMap(choicesOf))].sort(
    (a, b) => b.endsWith("._target_") - a.endsWith("._target_") || a.localeCompare(b),
  );

// A word with = must be equal to seed=…, or to a setting; any other may be within the text of the run.
function matcher(task) {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  return ({ id, variant, seed, status = "finished", reason = "" }) => {
    const { name, settings } = task.variants[variant] ?? { name: "", settings: {} };
    const text = `${status} ${task.name} ${name} ${id} ${reason}`.toLowerCase();
    const parts = name.toLowerCase().split(" · ");
    const equal = (word) =>
      word === `seed=${seed}` ||
      parts.some((part) => word === `attention=${part}`) ||
      Object.entries(settings).some(
        ([key, value]) => word === `${settingName(key)}=${settingText(value)}`.toLowerCase(),
      );
    return words.every((word) => text.includes(word) || (word.includes("=") && equal(word)));
  };
}

function views() {
  return tasksNow().flatMap((task) => {
    const matches = matcher(task);
    const pool = task.ids
      .map((id, run) => ({ id, run, variant: task.variant[run], seed: task.seeds[run] }))
      .filter(matches)
      .map(({ run }) => run);
    const runs = pool.filter((run) => !state.hidden.has(task.variants[task.variant[run]].name));
    const values = choicesOf(task).includes(state.facet)
      ? [...new Set(task.variants.map(({ settings }) => settingText(settings[state.facet])))].sort()
      : [null];
    return values.map((facet) => {
      const inside = (variant) => facet === null || settingText(task.variants[variant].settings[state.facet]) === facet;
      const mine = runs.filter((run) => inside(task.variant[run]));
      const variants = task.variants
        .map((_, variant) => variant)
        .filter((variant) => mine.some((run) => task.variant[run] === variant));
      return placed({ task, facet, pool, runs: mine, variants });
    });
  });
}

// Add the measure and the span of a view: those chosen, or those of its primary comparisons. A hidden variant, or one of
// another panel, may be the reference: values are those of `pool`, all runs of the task that match the words.
function placed(view) {
  const { primary, values } = view.task;
  const first = primary.find((row) => view.variants.includes(row.variant)) ?? primary[0];
  const usual = first?.measure ?? ("bleu_lowercased" in values ? "bleu_lowercased" : "token_accuracy");
  const span = state.span || first?.span || "all";
  const title = view.facet === null ? view.task.name : `${view.task.name}, ${settingName(state.facet)} = ${view.facet}`;
  const runsOf = Map.groupBy(view.pool, (run) => view.task.variant[run]);
  return {
    ...view,
    runsOf,
    measure: state.measure || usual,
    span,
    title,
    filtered: view.pool.length < view.task.ids.length,
  };
}

// Names of the variants of a view without the parts that all of them share, and without the groups of settings, as long
// as they stay different.
const shortNames = remembered(({ task, variants }) => {
  const full = variants.map((variant) => task.variants[variant].name.split(" · "));
  const varying = full.map((parts) => parts.filter((part) => !full.every((other) => other.includes(part))).join(" · "));
  const plain = varying.map((name) => name.replace(/(^| )[\w.]+\.(?=\w+=)/g, "$1"));
  const different = (names) => names.every(Boolean) && new Set(names).size === names.length;
  const chosen = [plain, varying].find(different) ?? full.map((parts) => parts.join(" · "));
  return new Map(variants.map((variant, place) => [variant, chosen[place]]));
});

function middle(text, limit) {
  const all = [...text],
    half = (limit - 1) / 2;
  return all.length <= limit
    ? text
    : `${all.slice(0, Math.ceil(half)).join("")}…${all.slice(-Math.floor(half)).join("")}`;
}

const valuesOf = (task, measure, span) => task.values[measure]?.[whole(measure) ? "all" : span];

// The finite values of a variant in a view, by seed.
function bySeed(view, variant, measure, span) {
  const values = valuesOf(view.task, measure, span),
    found = new Map();
  for (const run of (values && view.runsOf.get(variant)) ?? [])
    if (!Number.isNaN(values[run])) found.set(view.task.seeds[run], values[run]);
  return found;
}

function spanText(task, span) {
  const known = task.spans.find(({ name }) => name === span),
    { unit } = task;
  if (span === "all") return `all ${unit === "words" ? "lengths in words" : "lengths"}`;
  if (!known) return `${span} ${unit}`;
  if (span === "trained") return `≤ ${known.high} ${unit}, trained`;
  return span === "beyond" ? `${known.low}–${known.high} ${unit}, beyond` : `${span} ${unit}`;
}

const at = (task, measure, span) =>
  whole(measure) ? "" : span === "all" ? " at all lengths" : ` at ${spanText(task, span)}`;

const placeText = (view) => `${measureOf(view.measure).title}${at(view.task, view.measure, view.span)}`;

// The place of the variant that another one is compared with; null where there is none.
function referenceOf(view, variant) {
  if (!state.reference) return view.task.best[variant];
  const found = view.task.variants.findIndex(({ name }) => name === state.reference);
  return found < 0 ? null : found;
}

const hasFixed = ({ variants }) => variants.some(({ fixed }) => fixed);

const isDark = () =>
  (state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

// Colour, symbol and dash of a variant; by the value of a setting if one is chosen.
function lookOf(task, variant) {
  const own = task.variants[variant];
  const look = {
    color: isDark() ? own.dark : own.color,
    symbol: own.symbol,
    glyph: own.glyph,
    dash: own.fixed ? "dash" : "solid",
  };
  if (!state.color || !choicesOf(task).includes(state.color)) return look;
  const values = [...new Set(task.variants.map(({ settings }) => settingText(settings[state.color])))].sort();
  const palette = isDark() ? DATA.palette.dark : DATA.palette.light;
  return { ...look, color: palette[values.indexOf(settingText(own.settings[state.color])) % palette.length] };
}

function faint(color, opacity) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}
