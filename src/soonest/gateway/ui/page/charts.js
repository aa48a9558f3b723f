// Pictures in SVG: each says in its label what it shows, and stands beside the numbers.

import { count, seconds } from "./words.js";

const SPACE = "http://www.w3.org/2000/svg";

function shape(name, attributes, text) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function show(id, label, parts) {
  const svg = document.getElementById(id);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(...parts);
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
  const most = Math.max(10, ...found.map((p) => Math.max(p[0], p[1])));
  const top = 10 ** Math.ceil(Math.log10(most) - 1e-9);
  const at = (tokens) => Math.log10(Math.max(tokens, 1)) / Math.log10(top);
  const x = (tokens) => 52 + 350 * at(tokens);
  const y = (tokens) => 256 - 240 * at(tokens);
  const parts = [line(52, 256, 402, 16, "even"), line(52, 256, 402, 256, "axis"), line(52, 256, 52, 16, "axis")];
  for (const tick of decades(1, top)) {
    parts.push(text(x(tick), 272, count(tick)), text(46, y(tick) + 4, count(tick), "end"));
  }
  parts.push(text(227, 292, "expected tokens"));
  parts.push(shape("text", { x: 12, y: 136, "text-anchor": "middle", transform: "rotate(-90 12 136)" }, "actual tokens"));
  for (const [expected, actual, cut] of found) {
    parts.push(shape("circle", { cx: x(expected), cy: y(actual), r: 3.5, class: cut ? "cut" : "dot" }));
  }
  show("pairs", `Expected against actual tokens of ${found.length} answers`, parts);
}

const ROWS = [["mean", "mean"], ["median", "median"], ["p90", "p90"], ["p99", "p99"], ["max", "max"]];

// A row a measure, seconds across by orders of magnitude.
export function spread(recent, replay) {
  const kinds = [["recent", recent], ["own", replay?.own], ["fcfs", replay?.fcfs]].filter(([, values]) => values);
  const all = kinds.flatMap(([, values]) => Object.values(values)).filter((s) => s > 0);
  if (!all.length) return show("spread", "No answer has come yet", [text(210, 95, "No answer has come yet.")]);
  const low = 10 ** Math.floor(Math.log10(Math.min(...all)) + 1e-9);
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all)) + 1e-9);
  const across = Math.max(Math.log10(high / low), 1);
  const x = (s) => 66 + (336 * Math.log10(Math.max(s, low) / low)) / across;
  const parts = [line(66, 152, 402, 152, "axis")];
  for (const tick of decades(low, high)) parts.push(text(x(tick), 168, `${+tick.toPrecision(1)} s`));
  ROWS.forEach(([key, name], i) => {
    const y = 18 + 29 * i;
    const marks = kinds.map(([kind, values]) => [kind, x(values[key])]);
    const places = marks.map(([, place]) => place);
    parts.push(text(56, y + 4, name, "end"), line(Math.min(...places), y, Math.max(...places), y, "span"));
    for (const [kind, place] of marks) parts.push(mark(kind, place, y));
  });
  const names = { recent: "live", own: "replayed", fcfs: "replayed, fcfs" };
  kinds.forEach(([kind], i) => parts.push(mark(kind, 90 + 100 * i, 182), text(100 + 100 * i, 186, names[kind], "start")));
  const said = kinds.map(([kind, values]) => `${names[kind]}: mean ${seconds(values.mean)} s, p99 ${seconds(values.p99)} s`);
  return show("spread", `Seconds from arrival to the last token. ${said.join("; ")}`, parts);
}

function mark(kind, x, y) {
  if (kind !== "fcfs") return shape("circle", { cx: x, cy: y, r: kind === "own" ? 7 : 5, class: kind });
  return shape("path", { d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z`, class: kind });
}

// Requests that wait, since the page was opened.
export function history(points) {
  const most = Math.max(1, ...points.map((p) => p[1]));
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const x = (time) => 44 + (506 * (time - first)) / Math.max(last - first, 1);
  const y = (waiting) => 66 - (54 * waiting) / most;
  const drawn = points.map(([time, waiting]) => `${x(time).toFixed(1)},${y(waiting).toFixed(1)}`).join(" ");
  show("history", `Requests that wait: ${count(points.at(-1)[1])} now, ${count(most)} at most since this page looks`, [
    line(44, 66, 550, 66, "axis"),
    text(38, 16, count(most), "end"),
    text(38, 70, "0", "end"),
    text(44, 84, `${count(last - first)} s ago`, "start"),
    text(550, 84, "now", "end"),
    shape("polyline", { points: drawn, class: "history" }),
  ]);
}

// One request's time: queued, until the first token, until the end.
export function life(said) {
  const end = said.finished ?? said.age;
  const queued = said.admitted ?? end;
  const spoke = said.first_token ?? (said.admitted === null ? queued : end);
  const x = (s) => (520 * s) / Math.max(end, 1e-9);
  const spans = [["queued", 0, queued], ["prefill", queued, spoke], ["stream", spoke, end]];
  const names = { queued: "queued", prefill: "to first token", stream: "answering" };
  const told = spans.filter(([, from, to]) => to > from);
  const parts = told.map(([kind, from, to]) => shape("rect", { x: x(from), y: 0, width: x(to) - x(from), height: 18, class: kind }));
  told.forEach(([kind, from, to], i) => {
    parts.push(shape("rect", { x: 174 * i, y: 30, width: 10, height: 10, class: kind }));
    parts.push(text(174 * i + 15, 40, `${names[kind]} ${seconds(to - from)} s`, "start"));
  });
  show("life-bar", told.map(([kind, from, to]) => `${names[kind]} ${seconds(to - from)} s`).join(", "), parts);
}
