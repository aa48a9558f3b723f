// Pictures in SVG: each says in its label what it shows, and stands beside the numbers.

import { count, make, seconds } from "./words.js";

const SPACE = "http://www.w3.org/2000/svg";

function shape(name, attributes, text) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A picture is as wide as it stands on the page, so that its text keeps its size on a phone.
const width = (id) => Math.max(document.getElementById(id).clientWidth, 200);

function show(id, label, parts) {
  const svg = document.getElementById(id);
  svg.setAttribute("viewBox", `0 0 ${width(id)} ${svg.clientHeight}`);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(...parts);
}

function legend(id, kinds) {
  document.getElementById(id).replaceChildren(...kinds.map(([kind, words]) => make("span", { class: kind }, words)));
}

const text = (x, y, words, anchor = "middle") => shape("text", { x, y, "text-anchor": anchor }, words);
const line = (x1, y1, x2, y2, kind) => shape("line", { x1, y1, x2, y2, class: kind });

function decades(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.0001; power += 1) found.push(10 ** power);
  return found;
}

// Expected tokens across, actual tokens up, both by orders of magnitude.
export function pairs(found) {
  for (const id of ["pairs", "pairs-small"]) document.getElementById(id).toggleAttribute("hidden", !found.length);
  if (!found.length) return;
  const right = width("pairs") - 16;
  const most = Math.max(10, ...found.map((p) => Math.max(p[0], p[1])));
  const top = 10 ** Math.ceil(Math.log10(most) - 1e-9);
  const at = (tokens) => Math.log10(Math.max(tokens, 1)) / Math.log10(top);
  const x = (tokens) => 56 + (right - 56) * at(tokens);
  const y = (tokens) => 218 - 206 * at(tokens);
  const parts = [line(56, 218, right, 12, "even"), line(56, 218, right, 218, "axis"), line(56, 218, 56, 12, "axis")];
  for (const tick of decades(1, top)) {
    parts.push(text(x(tick), 234, count(tick), tick === top ? "end" : "middle"), text(50, y(tick) + 4, count(tick), "end"));
  }
  parts.push(text((56 + right) / 2, 252, "expected tokens"));
  parts.push(shape("text", { x: 12, y: 115, "text-anchor": "middle", transform: "rotate(-90 12 115)" }, "actual tokens"));
  for (const [expected, actual, cut] of found) {
    parts.push(shape("circle", { cx: x(expected), cy: y(actual), r: 3.5, class: cut ? "cut" : "dot" }));
  }
  show("pairs", `Expected against actual tokens of ${found.length} answers`, parts);
}

const ROWS = ["mean", "median", "p90", "p99", "max"];
const NAMES = { recent: "live", own: "replayed", fcfs: "replayed in arrival order" };

// A row a measure, seconds across by orders of magnitude.
export function spread(recent, replay) {
  const kinds = [["recent", recent], ["own", replay?.own], ["fcfs", replay?.fcfs]].filter(([, values]) => values);
  const all = kinds.flatMap(([, values]) => Object.values(values)).filter((s) => s > 0);
  const right = width("spread") - 20;
  legend("spread-kinds", kinds.map(([kind]) => [kind, NAMES[kind]]));
  if (!all.length) return show("spread", "No answer has come yet", [text(right / 2, 80, "No answer has come yet.")]);
  const low = 10 ** Math.floor(Math.log10(Math.min(...all)) + 1e-9);
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all)) - 1e-9);
  const across = Math.max(Math.log10(high / low), 1);
  const x = (s) => 66 + ((right - 66) * Math.log10(Math.max(s, low) / low)) / across;
  const parts = [line(66, 150, right, 150, "axis")];
  for (const tick of decades(low, low * 10 ** across)) parts.push(text(x(tick), 168, `${+tick.toPrecision(1)} s`));
  ROWS.forEach((key, i) => {
    const y = 16 + 29 * i;
    const marks = kinds.map(([kind, values]) => [kind, x(values[key])]);
    const places = marks.map(([, place]) => place);
    parts.push(text(56, y + 4, key, "end"), line(Math.min(...places), y, Math.max(...places), y, "span"));
    for (const [kind, place] of marks) parts.push(mark(kind, place, y));
  });
  const said = kinds.map(([kind, values]) => `${NAMES[kind]}: mean ${seconds(values.mean)} s, p99 ${seconds(values.p99)} s`);
  return show("spread", `Seconds from arrival to the last token. ${said.join("; ")}`, parts);
}

function mark(kind, x, y) {
  if (kind !== "fcfs") return shape("circle", { cx: x, cy: y, r: kind === "own" ? 7 : 5, class: kind });
  return shape("path", { d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z`, class: kind });
}

// Requests that wait, since the page was opened: pairs of a time and a number.
export function history(points) {
  const right = width("history") - 8;
  const most = Math.max(1, ...points.map((p) => p[1]));
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const x = (time) => 44 + ((right - 44) * (time - first)) / Math.max(last - first, 1);
  const y = (waiting) => 66 - (54 * waiting) / most;
  const drawn = points.map(([time, waiting]) => `${x(time).toFixed(1)},${y(waiting).toFixed(1)}`).join(" ");
  show("history", `Requests that wait: ${count(points.at(-1)[1])} now, ${count(most)} at most since this page looks`, [
    line(44, 66, right, 66, "axis"),
    text(38, 16, count(most), "end"),
    text(38, 70, "0", "end"),
    text(44, 84, last > first ? `${count(last - first)} s ago` : "", "start"),
    text(right, 84, "now", "end"),
    shape("polyline", { points: drawn, class: "history" }),
  ]);
}

// One request's time: queued, until the first token, until the end.
export function life(said) {
  const end = said.finished ?? said.age;
  const queued = said.admitted ?? end;
  const spoke = said.first_token ?? end;
  const x = (s) => (width("life-bar") * s) / Math.max(end, 1e-9);
  const names = { queued: "queued", prefill: "to the first token", stream: "answering" };
  const spans = [["queued", 0, queued], ["prefill", queued, spoke], ["stream", spoke, end]].filter(([, from, to]) => to > from);
  const told = spans.map(([kind, from, to]) => [kind, `${names[kind]} ${seconds(to - from)} s`]);
  legend("life-spans", told);
  show("life-bar", told.map(([, words]) => words).join(", "), spans.map(([kind, from, to]) =>
    shape("rect", { x: x(from), y: 0, width: x(to) - x(from), height: 20, class: kind })));
}
