// The state of all controls, which the part of the address after # holds: a copied address shows the same, and the back
// button goes one change back.
const DEFAULTS = {
  experiment: "",
  task: "",
  measure: "",
  span: "",
  reference: "",
  facet: "",
  color: "",
  words: "",
  x: "",
  y: "",
  time: "tokens",
  first: "",
  second: "",
  example: "0",
  seeds: "",
  theme: "",
  sort: "",
};
let state = { ...DEFAULTS, hidden: new Set() };

function stateText(wanted) {
  const parts = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS)) if (wanted[name] !== DEFAULTS[name]) parts.set(name, wanted[name]);
  for (const name of wanted.hidden) parts.append("hide", name);
  return parts.toString();
}

function readState() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const known = Object.keys(DEFAULTS).filter((name) => parts.has(name));
  state = { ...DEFAULTS, hidden: new Set(parts.getAll("hide")) };
  for (const name of known) state[name] = parts.get(name);
}

// Change the state and draw; `typing` changes the address without a step for the back button.
function change(changes, typing = false) {
  const text = stateText({ ...state, ...changes });
  if (text === location.hash.slice(1)) return;
  if (typing) {
    history.replaceState(null, "", `#${text}`);
    readState();
    render();
  } else location.hash = text; // the event hashchange draws
}
