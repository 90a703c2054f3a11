"use strict";
// Draw attention weights as a table. Tokens are set as text, never as markup; nothing is requested.
// A page sets `color-scheme`, which chooses between the light and the dark colours, and may override the variables.
const HEAT_MAP_STYLE = `
  .heat-map { overflow-x: auto; width: 100%; container-type: inline-size; }
  .heat-map table { border-collapse: separate; border-spacing: 1px; width: auto; font-size: 13px; }
  .heat-map caption { text-align: left; padding: 0 0 6px; color: var(--heat-caption, light-dark(#5f5f5f, #a9a9a9)); }
  .heat-map caption span { display: block; position: sticky; left: 0; width: 100cqw; margin-right: -100cqw; }
  .heat-map td, .heat-map th { border: 0; background: none; font-weight: 400; }
  .heat-map tbody td { width: 22px; min-width: 22px; height: 22px; padding: 0;
    background: color-mix(in oklab, var(--heat-one, light-dark(#08306b, #9ecbff)) calc(100% * var(--weight)),
      var(--heat-zero, light-dark(#eef2f6, #2a2d31))); }
  .heat-map tbody td.gold { outline: 2px solid var(--heat-gold, light-dark(#d55e00, #ff9d4d)); outline-offset: -2px; }
  .heat-map tbody td.absent { background: repeating-linear-gradient(45deg, transparent 0 4px, #8888 4px 6px); }
  .heat-map th { padding: 2px 5px; white-space: pre; color: inherit; }
  .heat-map thead th { position: static; vertical-align: bottom; text-align: center; padding: 2px 0; }
  .heat-map thead th span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 10em; }
  .heat-map tbody th { text-align: right; position: sticky; left: 0; background: var(--heat-page, Canvas); }
  .heat-map th span { display: inline-block; max-width: 12em; overflow: hidden; text-overflow: ellipsis;
    vertical-align: bottom; }
`;

const WHAT = "Weight of each source token (across) for each target token (down)";

// weights: a row of numbers from 0 to 1 per target token, null where absent; gold: rows of 0 and 1, or null.
function heatMap(weights, gold, source, target, caption = gold ? `${WHAT}; gold cells are outlined` : WHAT) {
  if (weights.length !== target.length || weights.some((row) => row.length !== source.length))
    throw new Error(`${weights.length} rows of weights for ${target.length} target and ${source.length} source tokens`);
  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const token = (word, scope) => make("th", { scope, title: word }, make("span", { dir: "auto", textContent: word }));
  const cell = (weight, outlined, pair) => {
    const value = weight === null ? "absent" : `${(100 * weight).toFixed(1)} %`;
    const made = make("td", { title: `${pair}: ${value}${outlined ? ", gold" : ""}` });
    made.setAttribute("aria-label", outlined ? `${value}, gold` : value);
    made.classList.toggle("gold", Boolean(outlined));
    made.classList.toggle("absent", weight === null);
    made.style.setProperty("--weight", weight ?? 0);
    return made;
  };
  const rows = target.map((word, t) => make("tr", {}, token(word, "row"),
    ...source.map((read, s) => cell(weights[t][s], gold?.[t][s], `${word} ← ${read}`))));
  const head = make("tr", {}, make("td"), ...source.map((word) => token(word, "col")));
  const table = make("table", {}, make("caption", {}, make("span", { textContent: caption })), make("thead", {}, head),
    make("tbody", {}, ...rows));
  const region = make("div", { className: "heat-map", tabIndex: 0 }, table);
  region.style.setProperty("--columns", source.length); // for a page that places several side by side
  region.setAttribute("role", "region"); // with a name and a tab stop, so that the keyboard can scroll it
  region.setAttribute("aria-label", caption);
  return region;
}

// Return weights that heatmaps/html.py wrote in thousandths.
const fromThousandths = (rows) => rows.map((row) => row.map((value) => (value === null ? null : value / 1000)));

{
  const sheet = new CSSStyleSheet(); // adopted, so that a policy without inline styles allows it
  sheet.replaceSync(HEAT_MAP_STYLE);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
