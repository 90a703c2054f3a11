// Draw a panel of a view with plotly, and save what it shows as CSV, SVG or PNG.
// No external links: no plotly logo, and no upload of charts to plotly's servers.
const CONFIG = { displayModeBar: false, showSendToCloud: false, plotlyServerURL: "", responsive: true };
const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function axis(more = {}) {
  return {
    gridcolor: themed("grid"),
    linecolor: themed("edge"),
    tickcolor: themed("edge"),
    zeroline: false,
    ticks: "outside",
    ticklabeloverflow: "allow",
    ...more,
    title: { standoff: 5, font: { size: 13 }, ...more.title },
  };
}

// Axis of a measure: its name, what it counts, and the form of its numbers.
function measured(name, span, task, more = {}) {
  const { title, unit, scale } = measureOf(name),
    share = unit === "%";
  const place = span && !whole(name) ? `,<br>${literal(spanText(task, span))}` : "";
  const text = `${literal(title, 60)}${unitOf({ unit, title }) && !share ? ` (${unit})` : ""}${place}`;
  return axis({ title: { text }, ...(share ? { tickformat: ".0%" } : { rangemode: "tozero" }), scale, ...more });
}

function layoutOf(more) {
  return {
    font: { family: "system-ui, sans-serif", size: 13, color: themed("ink") },
    paper_bgcolor: themed("page"),
    plot_bgcolor: themed("page"),
    margin: { l: 56, r: 14, t: 12, b: 44 },
    showlegend: false,
    dragmode: matchMedia("(max-width: 700px)").matches ? false : "zoom",
    hoverlabel: { align: "left", bgcolor: themed("pale"), bordercolor: themed("edge"), font: { color: themed("ink") } },
    ...more,
  };
}

const markerOf = ({ color, symbol }, size, more = {}) => ({ color, symbol, size, line: { width: 2, color }, ...more });
const note = (text, more) => ({ text, showarrow: false, font: { color: themed("soft"), size: 12 }, ...more });

// The width of text in pixels: margins that plotly would find by drawing several times.
const pen = document.createElement("canvas").getContext("2d");
function widest(texts, size = 13) {
  pen.font = `${size}px system-ui, sans-serif`;
  return Math.ceil(Math.max(0, ...texts.map((text) => pen.measureText(text).width)));
}

// A line as plotly's SVG names it, for a legend and for tests: the variant and the kind of a trace.
const tagged = (variant, kind, trace) => ({ type: "scatter", ...trace, meta: { variant, kind } });

function slug(...parts) {
  return parts
    .filter(Boolean)
    .join("-")
    .replace(/–/g, "-")
    .replace(/[^\w.-]+/g, "_")
    .replace(/^[_.-]+|[_-]+$/g, "")
    .slice(0, 120);
}

function save(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`${name} was saved.`);
}

// As of csv_export: an absent value is an empty cell, and no text is read as a formula.
function csv({ columns, rows }) {
  const cell = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    const text = String(value).split(/\s+/).join(" ");
    const safe = typeof value === "string" && /^[=+\-@]/.test(text) ? `'${text}` : text;
    return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

async function savePicture(plot, name, format) {
  const { width, height } = plot.getBoundingClientRect();
  const image = await Plotly.toImage(plot, { format, width, height, scale: format === "png" ? 2 : 1 });
  const [head, body] = [image.slice(0, image.indexOf(",")), image.slice(image.indexOf(",") + 1)];
  const content = head.includes("base64")
    ? Uint8Array.from(atob(body), (c) => c.charCodeAt(0))
    : decodeURIComponent(body);
  save(`${name}.${format}`, format === "svg" ? "image/svg+xml" : "image/png", content);
}

function fill(table, { columns, rows }) {
  const number = columns.map((_, place) => rows.some((row) => typeof row[place] === "number"));
  const text = (value) =>
    typeof value === "number" ? (Number.isNaN(value) ? "" : +value.toPrecision(6)) : (value ?? "");
  table.replaceChildren(
    element("thead", {}, element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, name)))),
    element(
      "tbody",
      {},
      ...rows.map((row) =>
        element(
          "tr",
          {},
          ...row.map((value, place) => element("td", { className: number[place] ? "number" : "" }, text(value))),
        ),
      ),
    ),
  );
}

// The elements of a panel: heading, buttons, note, plot, and its numbers as a table.
function cellOf(panel, number) {
  const cell = element("div", { className: `panel ${panel.name}`, role: "group", id: `${panel.name}-${number}` });
  const heading = element("h3", { id: `${panel.name}-${number}-title` });
  cell.setAttribute("aria-labelledby", heading.id);
  const tools = element("div", { className: "tools" });
  const plot = element("div", { className: "plot", role: "img" });
  const table = element("table"),
    numbers = element(
      "div",
      {
        className: "scroll short",
        id: `${cell.id}-numbers`,
        tabIndex: 0,
        role: "region",
        "aria-label": "numbers of this panel",
        hidden: true,
      },
      table,
    );
  const text = element("p", { className: "sub" });
  const made = { panel, cell, heading, plot, text, numbers, table, dirty: true, seen: false, view: null };
  const name = () => slug(experimentNow().name, panel.file(made.view));
  for (const format of ["csv", "svg", "png"]) {
    const button = element("button", { type: "button" }, format.toUpperCase());
    button.addEventListener("click", () =>
      format === "csv"
        ? save(`${name()}.csv`, "text/csv", csv(panel.table(made.view)))
        : savePicture(plot, name(), format),
    );
    tools.append(button);
  }
  const open = element("button", { type: "button", "aria-expanded": "false", "aria-controls": numbers.id }, "table");
  open.addEventListener("click", () => {
    numbers.hidden = !numbers.hidden;
    open.setAttribute("aria-expanded", String(!numbers.hidden));
    if (!numbers.hidden) fill(table, panel.table(made.view));
  });
  tools.prepend(open);
  made.tools = tools;
  cell.append(element("div", { className: "head" }, heading, tools), text, plot, numbers);
  return made;
}

function drawCell(made) {
  const { panel, plot, view, cell, tools } = made;
  made.dirty = false;
  const figure = panel.figure(view, plot.clientWidth || 600);
  if (figure.why) {
    Plotly.purge(plot);
    plot.replaceChildren(element("p", { className: "empty" }, figure.why));
  } else {
    plot.querySelectorAll(".empty").forEach((empty) => empty.remove());
    Plotly.react(plot, figure.data, layoutOf(figure.layout), CONFIG);
  }
  plot.setAttribute("aria-label", figure.why ?? `${made.heading.textContent}. ${panel.says(view)}`);
  tools.querySelectorAll("button").forEach((button) => {
    button.disabled = Boolean(figure.why);
    const verb = button.hasAttribute("aria-expanded") ? "numbers as a" : "save as";
    button.setAttribute("aria-label", `${verb} ${button.textContent}: ${made.heading.textContent}`);
  });
  cell.classList.add("drawn");
  if (!made.numbers.hidden) fill(made.table, panel.table(view));
}
