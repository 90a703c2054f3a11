// The controls above the panels: each changes the state, which every panel shows.
// Give a select its options, [value, text] each, without losing the focus.
function choose(select, options, value) {
  const same =
    select.options.length === options.length &&
    options.every(
      ([key, text], place) => select.options[place].value === key && select.options[place].textContent === text,
    );
  if (!same) select.replaceChildren(...options.map(([key, text]) => element("option", { value: key }, text)));
  select.value = value;
  if (select.selectedIndex < 0 && options.length) select.selectedIndex = 0;
}

const FIRST = [
  "token_accuracy",
  "exact_match",
  "bleu_lowercased",
  "chrf_lowercased",
  "forced/token_accuracy",
  "forced/alignment_accuracy",
];

function measureNames(tasks, costs) {
  const names_ = [...new Set(tasks.flatMap(({ values }) => Object.keys(values)))].filter(
    (name) => costs || !whole(name),
  );
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : whole(name) ? 2000 : 1000);
  return names_.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b)).map((name) => [name, measureOf(name).title]);
}

function spanOptions(tasks) {
  const names_ = [...new Set(tasks.flatMap(({ spans }) => spans.map(({ name }) => name)))];
  const text = (span) =>
    [
      ...new Set(
        tasks.filter(({ spans }) => spans.some(({ name }) => name === span)).map((task) => spanText(task, span)),
      ),
    ].join(" / ");
  const usual = [...new Set(tasks.flatMap((task) => task.primary.slice(0, 1).map(({ span }) => spanText(task, span))))];
  return [
    ["", usual.length ? `of the main result: ${usual.join(" / ")}` : "all lengths"],
    ...names_.map((span) => [span, text(span)]),
  ];
}

function drawControls(all) {
  const tasks = tasksNow(),
    every = experimentNow().tasks,
    settings = choices(every).map((key) => [key, settingName(key)]);
  choose(
    $("experiment"),
    DATA.experiments.map(({ name }) => [name, name]),
    experimentNow().name,
  );
  choose(
    $("task"),
    [
      ["", every.length > 1 ? "all tasks" : every[0].name],
      ...(every.length > 1 ? every.map(({ name }) => [name, name]) : []),
    ],
    state.task,
  );
  const usual = [...new Set(tasks.map((task) => placedMeasure(task)))].map((name) => measureOf(name).title).join(" / ");
  choose($("measure"), [["", `of the main result: ${usual}`], ...measureNames(tasks, false)], state.measure);
  choose($("span"), spanOptions(tasks), state.span);
  const names_ = [...new Set(tasks.flatMap(({ variants }) => variants.map(({ name }) => name)))];
  const usualReference = tasks.some(hasFixed) ? "best fixed context" : "first of the plan";
  choose($("reference"), [["", usualReference], ...names_.map((name) => [name, name])], state.reference);
  choose($("facet"), [["", "nothing"], ...settings], state.facet);
  choose($("color"), [["", "variant"], ...settings], state.color);
  choose($("x"), measureNames(tasks, true), scatterX());
  choose($("y"), [["", "the measure above"], ...measureNames(tasks, true)], state.y);
  $("time").value = state.time;
  $("seeds").checked = Boolean(state.seeds);
  $("theme").value = state.theme;
  if (document.activeElement !== $("words")) $("words").value = state.words;
  const shownMeasures = [...new Set(all.map(({ measure }) => measure))].filter((name) => measureOf(name).meaning);
  $("meaning").replaceChildren(
    ...shownMeasures.map((name) =>
      element(
        "span",
        {},
        element("strong", {}, measureOf(name).title),
        `: ${measureOf(name).meaning} ${better(name).replace(/^./, (c) => c.toUpperCase())}. `,
      ),
    ),
  );
  drawLegend(tasks);
}

const placedMeasure = (task) => {
  const first = task.primary[0]?.measure;
  return first ?? ("bleu_lowercased" in task.values ? "bleu_lowercased" : "token_accuracy");
};

function drawLegend(tasks) {
  const byName = new Map();
  for (const task of tasks)
    task.variants.forEach((variant, place) =>
      byName.set(variant.name, [...(byName.get(variant.name) ?? []), [task, place, variant]]),
    );
  const focused = document.activeElement?.dataset?.variant;
  $("legend").replaceChildren(
    ...[...byName].map(([name, found]) => {
      const [task, place, variant] = found[0],
        { color, glyph } = lookOf(task, place);
      const chip = element("button", {
        type: "button",
        className: variant.fixed ? "chip fixed" : "chip",
        title: name,
        "aria-pressed": String(!state.hidden.has(name)),
      });
      chip.dataset.variant = name;
      const line = element("span", { className: "line", "aria-hidden": "true" }),
        mark = element("span", { className: "glyph", "aria-hidden": "true" }, `${glyph} `);
      line.style.borderColor = mark.style.color = color;
      const [n, planned] = ["n", "planned"].map((key) => found.reduce((sum, [, , one]) => sum + one[key], 0));
      chip.append(
        line,
        mark,
        element("span", { className: "name" }, name),
        n < planned ? ` (${n} of ${planned} runs)` : "",
      );
      chip.addEventListener("click", () => {
        const hidden = new Set(state.hidden);
        if (!hidden.delete(name)) hidden.add(name);
        change({ hidden });
      });
      return chip;
    }),
  );
  if (focused !== undefined) [...$("legend").children].find((chip) => chip.dataset.variant === focused)?.focus();
}

function connect() {
  const names_ = [
    "experiment",
    "task",
    "measure",
    "span",
    "reference",
    "facet",
    "color",
    "x",
    "y",
    "time",
    "theme",
    "first",
    "second",
    "example",
  ];
  for (const name of names_) {
    $(name).addEventListener("change", () =>
      change({
        [name]: $(name).value,
        ...(name === "experiment"
          ? { ...DEFAULTS, experiment: $(name).value, theme: state.theme, hidden: new Set() }
          : {}),
      }),
    );
  }
  $("seeds").addEventListener("change", () => change({ seeds: $("seeds").checked ? "1" : "" }));
  $("words").addEventListener("input", () => change({ words: $("words").value }, true));
  $("reset").addEventListener("click", () =>
    change({ ...DEFAULTS, experiment: state.experiment, theme: state.theme, hidden: new Set() }),
  );
  $("none").addEventListener("click", () =>
    change({ hidden: new Set(tasksNow().flatMap(({ variants }) => variants.map(({ name }) => name))) }),
  );
  $("every").addEventListener("click", () => change({ hidden: new Set() }));
  $("all-rows").addEventListener("click", () => {
    allRows = true;
    drawRuns();
  });
  $("runs-csv").addEventListener("click", () =>
    save(`${slug(experimentNow().name, "runs")}.csv`, "text/csv", csv(runsCsv())),
  );
  addEventListener("hashchange", () => {
    readState();
    render();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => render());
}
