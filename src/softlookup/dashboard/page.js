// Draw the page from the state; plots only when they come near the window, so that a page of many opens at once.
const SECTIONS = [
  ["answer-views", [effectsPanel, lengthsPanel, costsPanel]],
  ["scatter-views", [scatterPanel]],
  ["profiles-views", [profilesPanel]],
  ["curves-views", [curvesPanel]],
];
let cells = [],
  layoutKey = "",
  tablesLeft = () => {}; // draws the tables of the first page, which lie far below its plots
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const made = cells.find(({ cell }) => cell === target);
      if (made) made.seen = isIntersecting;
    }
    drawNext();
  },
  { rootMargin: "200px" },
);

// Draw one plot near the window, then let the browser show it before the next one; the tables after them.
function drawNext() {
  const next = cells.find(({ seen, dirty }) => seen && dirty);
  if (!next) {
    tablesLeft();
    return;
  }
  drawCell(next);
  setTimeout(drawNext);
}

function say(text) {
  $("said").textContent = text;
}

function build(all) {
  near.disconnect();
  for (const { plot } of cells) Plotly.purge(plot);
  cells = [];
  for (const [place, panels] of SECTIONS) {
    $(place).replaceChildren(
      ...all.map((view, number) => {
        const article = element("article", { className: "view" });
        const heading = element("h2", { id: `${place}-${number}` }),
          answers = element("div", { className: "answers" });
        article.setAttribute("aria-labelledby", heading.id);
        const made = panels.map((panel) => cellOf(panel, number));
        article.append(
          heading,
          ...(place === "answer-views" ? [answers] : []),
          element("div", { className: "panels" }, ...made.map(({ cell }) => cell)),
        );
        cells.push(...made.map((one) => Object.assign(one, { number, title: heading, answers })));
        return article;
      }),
    );
  }
  cells.forEach(({ cell }) => near.observe(cell));
}

// The runs that a sentence is about, by seed: links where their pages lie beside this one.
function sourcesOf(task, names) {
  const listed = names.flatMap((name, place) => [
    place ? `; ${name}, seeds ` : `Runs: ${name}, seeds `,
    ...task.ids.flatMap((id, run) => {
      if (task.variants[task.variant[run]].name !== name) return [];
      const address = pageOf(id),
        seed = `${task.seeds[run]}`;
      return [address ? element("a", { href: address, title: id }, seed) : element("span", { title: id }, seed), " "];
    }),
  ]);
  return element("p", { className: "sub" }, ...listed);
}

function answersOf(all, number) {
  const view = all[number];
  if (all.findIndex(({ task }) => task === view.task) < number) return []; // once for each task
  const line = (text) => element("p", {}, text);
  if (!view.runs.length)
    return [line(view.task.ids.length ? "No run that is shown matches." : "No run is finished yet.")];
  return view.task.answers.length
    ? view.task.answers.flatMap(({ text, variants }) => [line(text), sourcesOf(view.task, variants)])
    : [line("There is no fixed context here: variants are compared with the first of the plan, or with the chosen reference.")];
}

function drawTables(all) {
  tablesLeft = () => {};
  $("means-views").replaceChildren(...all.filter(({ runs }) => runs.length).map(meansTable));
  drawRuns();
  drawCompare(all);
  drawBooks();
}

function render(first = false) {
  const all = views(),
    key = JSON.stringify([experimentNow().name, all.map(({ title }) => title)]);
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  drawControls(all);
  if (key !== layoutKey) build(all);
  layoutKey = key;
  for (const made of cells) {
    const { panel, number } = made,
      view = all[number];
    Object.assign(made, { view, dirty: true });
    made.cell.hidden = !view.runs.length;
    made.title.hidden = made.cell.hidden && !made.cell.closest("#answer-views"); // the first section says why
    made.title.textContent = made.cell.parentElement.dataset.title = view.title;
    made.answers.replaceChildren(...answersOf(all, number));
    made.heading.textContent = panel.title(view);
    made.text.textContent = panel.note(view);
    made.plot.setAttribute("aria-label", made.heading.textContent); // until it is drawn
    if (made.seen) drawCell(made);
  }
  if (first) tablesLeft = () => drawTables(all);
  else drawTables(all);
  $("untimed").textContent = [...new Set(all.filter(({ runs }) => runs.length).map(({ task }) => task.untimed))].join(
    " ",
  );
  const part = all.find(({ filtered }) => filtered);
  $("filtered").textContent = part
    ? "Runs are filtered: all figures below, except the sentences, are of the runs that match."
    : "";
  const runs = all.reduce((sum, view) => sum + view.runs.length, 0);
  say(
    `${experimentNow().name}: ${all.map((view) => `${view.title}, ${placeText(view)}`).join("; ")}; ${runs} finished runs.`,
  );
}

$("notes").replaceChildren(...DATA.notes.map((line) => element("p", { className: "note" }, line)));
const narrow = matchMedia("(max-width: 700px)"),
  fold = () => {
    $("controls").open = !narrow.matches;
  };
narrow.addEventListener("change", fold);
fold();
connect();
readState();
addEventListener("beforeprint", () => {
  tablesLeft();
  cells.filter(({ dirty, view }) => dirty && view.runs.length).forEach(drawCell);
});
render(true);
