// How things are said: numbers, times, and what a request waits for. Text goes into the page as text, never as HTML.

const whole = new Intl.NumberFormat("en");

export const WHY = {
  engine: "an engine that answers",
  elsewhere: "an engine that has not failed it",
  place: "a free place",
  places: "several free places at once",
  memory: "memory for its answer",
  turn: "nothing: it starts now",
  priority: "a higher priority goes first",
  lane: "the overdue lane goes first",
  share: "its tenant's share",
  rank: "better ranks go first",
};

export const count = (n) => (n === null || n === undefined ? "–" : whole.format(Math.round(n)));

export const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);

export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.0995) return s.toFixed(3);
  return s < 9.95 ? s.toFixed(2) : s < 99.5 ? s.toFixed(1) : whole.format(Math.round(s));
}

export const clock = (unix) => new Date(1000 * unix).toLocaleTimeString("en-GB");

export const tenant = (name) => name || "(no name)";

export const forecast = (r) =>
  r.expected === null ? "unknown" : `${count(r.expected)} (${count(r.low)}–${count(r.high)})`;

export const engine = (url) => url.replace(/^https?:\/\//, "");

export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function say(id, text) {
  const at = typeof id === "string" ? document.getElementById(id) : id;
  if (at.textContent !== text) at.textContent = text;
}

export function bar(share) {
  const filled = make("i");
  filled.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  return make("div", { class: "bar", "aria-hidden": "true" }, filled);
}
