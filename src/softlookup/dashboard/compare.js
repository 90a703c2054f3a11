// Two runs side by side: the settings in which they differ, their measures, and their heat maps.
// The finished runs that are shown.
const finishedRuns = (all) => all.flatMap((view) => view.runs.map((run) => ({ view, run, id: view.task.ids[run] })));

function runName({ view: { task }, run }) {
  return `${task.name}: ${task.variants[task.variant[run]].name}, seed ${task.seeds[run]}`;
}

// The two chosen runs; by default one with heat maps and, with the same seed and task, one of another variant.
function chosenRuns(runs) {
  const first =
    runs.find(({ id }) => id === state.first) ?? runs.find((one) => one.id in one.view.task.heat.runs) ?? runs[0];
  const like = (one) =>
    one.view.task === first.view.task && one.view.task.seeds[one.run] === first.view.task.seeds[first.run];
  const variant = ({ view, run }) => view.task.variant[run];
  const mapped = (one) => one.id in one.view.task.heat.runs;
  const others = runs.filter((one) => one !== first && like(one) && variant(one) !== variant(first));
  return [
    first,
    runs.find(({ id }) => id === state.second) ??
      others.find(mapped) ??
      others[0] ??
      runs.find((one) => one !== first) ??
      first,
  ];
}

function settingRows(one, other) {
  const [mine, theirs] = [one, other].map(({ view: { task }, run }) => ({
    ...task.variants[task.variant[run]].settings,
    seed: task.seeds[run],
  }));
  const keys = [...new Set([...Object.keys(mine), ...Object.keys(theirs)])].sort();
  return keys
    .filter((key) => JSON.stringify(mine[key]) !== JSON.stringify(theirs[key]))
    .map((key) => [settingName(key), settingText(mine[key]), settingText(theirs[key])]);
}

function measureRows(one, other) {
  const { measure } = one.view,
    spans = one.view.task.spans.map(({ name }) => name);
  const rest = Object.keys(one.view.task.values).filter(
    (name) => name !== measure && (whole(name) || state.span === ""),
  );
  const lines = [...spans.map((span) => [measure, span]), ...rest.map((name) => [name, "all"])];
  return lines
    .map(([name, span]) => {
      const [mine, theirs] = [one, other].map(({ view, run }) => valuesOf(view.task, name, span)?.[run] ?? NaN);
      const title = `${measureOf(name).title}${whole(name) ? "" : at(one.view.task, name, span)}`;
      return Number.isNaN(mine) && Number.isNaN(theirs)
        ? null
        : [
            title,
            shown(name, mine),
            shown(name, theirs),
            Number.isNaN(mine - theirs) ? "" : `${gained(name, theirs - mine)} ${pointsOf(name)}`,
          ];
    })
    .filter(Boolean);
}

function mapOf(shownRun) {
  const { view, run, id } = shownRun;
  const example = view.task.heat.runs[id]?.[Number(state.example)];
  if (!example) {
    const { fixed } = view.task.variants[view.task.variant[run]];
    return element(
      "p",
      { className: "empty" },
      fixed ? "A fixed context has no weights: there is no heat map." : "This page keeps no heat map of this run.",
    );
  }
  const { source, target, reference, weights, gold } = example,
    marked = new Set(gold);
  const grid = (value) => target.map((_, row) => source.map((__, column) => value(row * source.length + column)));
  const made = element("div", {}, element("p", { className: "sub" }, `reference: ${reference.join(" ")}`));
  made.append(
    heatMap(
      grid((place) => weights[place] / 100),
      grid((place) => Number(marked.has(place))),
      source,
      target,
      `${runName(shownRun)}: weight of each source token (across) for each target token (down); gold cells are outlined`,
    ),
  );
  return made;
}

function drawCompare(all) {
  const runs = finishedRuns(all),
    box = $("compare-body");
  if (!runs.length) {
    box.replaceChildren(element("p", { className: "empty" }, "No finished run is shown."));
    return;
  }
  const [one, other] = chosenRuns(runs);
  const examples = Math.max(0, ...[one, other].map(({ view, id }) => view.task.heat.runs[id]?.length ?? 0));
  choose(
    $("first"),
    runs.map((run) => [run.id, runName(run)]),
    one.id,
  );
  choose(
    $("second"),
    runs.map((run) => [run.id, runName(run)]),
    other.id,
  );
  choose(
    $("example"),
    Array.from({ length: examples }, (_, place) => [String(place), `${place + 1}`]),
    state.example,
  );
  $("example").parentElement.hidden = !examples;
  const links = [one, other]
    .map(({ id }) => pageOf(id))
    .map((address) => (address ? element("a", { href: address }, "page of this run") : ""));
  const settings = element("table"),
    measures = element("table");
  fill(settings, { columns: ["setting that differs", "first run", "second run"], rows: settingRows(one, other) });
  fill(measures, { columns: ["measure", "first run", "second run", "second − first"], rows: measureRows(one, other) });
  const scroll = (table, label) =>
    element("div", { className: "scroll short", tabIndex: 0, role: "region", "aria-label": label }, table);
  box.replaceChildren(
    element(
      "div",
      { className: "pair" },
      ...[one, other].map((run, side) =>
        element(
          "div",
          { className: "map", id: `map-${side}` },
          element("h3", {}, runName(run)),
          links[side],
          mapOf(run),
        ),
      ),
    ),
    element(
      "div",
      { className: "pair" },
      scroll(settings, "settings that differ"),
      scroll(measures, "measures of both runs"),
    ),
    element("p", { className: "sub" }, [...new Set(all.map(({ task }) => task.heat.note))].join(" ")),
  );
}

function pageOf(id) {
  const { runs } = experimentNow(),
    place = runs.id.indexOf(id);
  return place < 0 ? "" : runs.page[place];
}
