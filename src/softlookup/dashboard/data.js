// Read the embedded data, name and format measures, and make elements. Text from runs is only set as text, or escaped
// for plotly.
const TYPES = { f8: Float64Array, i4: Int32Array, u1: Uint8Array };
function decoded({ dtype, bytes }) {
  const text = atob(bytes),
    found = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) found[place] = text.charCodeAt(place);
  return new TYPES[dtype](found.buffer);
}

// Decode each array when it is first read: most are of measures that are not shown.
function lazily(node) {
  for (const [key, value] of Object.entries(node)) {
    if (!value || typeof value !== "object") continue;
    if (typeof value.bytes === "string" && value.dtype in TYPES)
      Object.defineProperty(node, key, {
        configurable: true,
        enumerable: true,
        get() {
          const array = decoded(value);
          Object.defineProperty(node, key, { value: array });
          return array;
        },
      });
    else lazily(value);
  }
  return node;
}
const DATA = lazily(JSON.parse(document.getElementById("data").textContent));
const WHOLE = ["cost/", "timing/", "validation/"]; // measured once for a run, at no length
// Costs that are shown as ratios: what each is a multiple of, and in a narrow panel.
const COSTS = [
  ["timing/step", "time of a step", "× step"],
  ["timing/token", "time of a token", "× token"],
  ["cost/flops", "FLOPs", "× FLOPs"],
  ["cost/peak_bytes", "memory", "× memory"],
  ["cost/state_bytes", "state", "× state"],
  ["cost/parameters", "parameters", "× params"],
];

const $ = (id) => document.getElementById(id);
const whole = (name) => WHOLE.some((start) => name.startsWith(start));
const measureOf = (name) => DATA.measures[name] ?? { title: name, unit: "", better: "", meaning: "", scale: 1 };
const unitOf = ({ unit, title }) => (unit && !title.includes(unit) ? unit : "");

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key === "role" || key === "scope" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

// As plotly's text: no markup, no %{…} templates, at most `limit` characters.
function literal(text, limit = 40) {
  const words = String(text).split(/\s+/).filter(Boolean).join(" ");
  const short = [...words].length <= limit ? words : `${[...words].slice(0, limit - 1).join("")}…`;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\{/g, "&#123;");
}

function digits(value) {
  const size = Math.abs(value);
  return size >= 100 || size === 0 ? 0 : size >= 1 ? 1 : size >= 0.1 ? 2 : 3;
}

// A value with its unit; what was not measured is absent, never 0.
function shown(name, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "absent";
  const known = measureOf(name),
    scaled = value / known.scale,
    unit = unitOf(known);
  const text =
    known.unit === "%" || known.unit === "BLEU"
      ? scaled.toFixed(1)
      : Number.isInteger(scaled)
        ? String(scaled)
        : scaled.toFixed(digits(scaled));
  return unit ? `${text} ${unit}` : text;
}

// A difference of two values: shares in points.
function gained(name, value) {
  const { unit, scale } = measureOf(name),
    scaled = value / scale;
  return `${scaled < 0 ? "−" : "+"}${Math.abs(scaled).toFixed(unit === "%" || unit === "BLEU" ? 1 : digits(scaled))}`;
}

function rangeText(low, high, measure) {
  const one = (value) => gained(measure, value).replace("+", "");
  return `[${one(low)}, ${one(high)}]`;
}

const pointsOf = (name) => (measureOf(name).unit === "%" ? "points" : measureOf(name).unit);
const better = (name) =>
  measureOf(name).better ? `${measureOf(name).better} is better` : "neither direction is better";
// Halves are rounded down, as Python does with 2/2⁵: the same p has the same digits in a sentence and in a plot.
const pText = (p) => String(+(p * (1 - 1e-12)).toPrecision(2));

// The name of a setting without the part that each choice of a group has, and its value as short text.
const settingName = (key) => key.replace(/\._target_$/, "");
const settingText = (value) =>
  value === undefined
    ? "(none)"
    : typeof value === "string" && /^softlookup\./.test(value)
      ? value.split(".").pop()
      : JSON.stringify(value);
