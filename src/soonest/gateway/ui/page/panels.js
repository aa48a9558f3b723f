// The panels over the table of requests.

import * as charts from "./charts.js";
import { WHY, bar, clock, count, engine, make, percent, say, seconds, tenant } from "./words.js";

const REMEMBERED = 300; // points of the queue's history
const history = []; // of a time, how many waited then, and how many had ended
const RECENT = 10; // seconds over which requests that end are counted

export function forget() {
  history.length = 0;
  drawn = "";
}

export function draw(picture) {
  say("what", `${picture.policy} · ${picture.mode} · version ${picture.version} · since ${clock(picture.started)}`);
  numbers(picture);
  queue(picture);
  engines(picture);
  forecasts(picture.forecasts);
  latency(picture);
  say("cost", `Drawing this took the gateway ${picture.cost_ms.toFixed(1)} ms, once for all who look.`);
}

function numbers(picture) {
  const { queue: q, forecasts: f } = picture;
  history.push([picture.at, q.waiting, q.ended]);
  if (history.length > REMEMBERED) history.shift();
  const since = history.find(([time]) => time >= picture.at - RECENT);
  const rate = picture.at > since[0] ? (q.ended - since[2]) / (picture.at - since[0]) : null;
  const rejected = Object.entries(q.rejected);
  const facts = [
    ["Waiting", count(q.waiting)],
    ["Running", count(q.running)],
    ["Ended a second", rate === null ? "–" : rate.toFixed(1)],
    ["Done in about", `${seconds(q.drain_seconds)} s`],
    ["Coverage", f.coverage === null ? "–" : percent(f.coverage)],
    ["Turned away", count(rejected.reduce((sum, [, n]) => sum + n, 0))],
    ["Tried again", count(q.retries)],
  ];
  const list = document.getElementById("now");
  if (!list.children.length) {
    list.append(...facts.map(([name]) => make("div", {}, make("dt", {}, name), make("dd"))));
  }
  facts.forEach(([, value], i) => say(list.children[i].lastChild, value));
  list.children[5].title = rejected.map(([reason, n]) => `${reason}: ${n}`).join(", ");
}

function queue(picture) {
  const { queue: q, tenants: t } = picture;
  const overdue = q.overdue_after === null ? "There is no overdue lane." :
    `${count(q.overdue)} overdue after ${q.overdue_after} s; they get one admission in ${q.overdue_every}.`;
  say("first", q.why === null ? `Nobody waits. ${overdue}` : `The first in line waits for ${WHY[q.why]}. ${overdue}`);
  charts.history(history);
  const most = Math.max(1, ...t.rows.map((row) => row.waiting));
  document.getElementById("tenants").replaceChildren(...t.rows.map((row) => make("tr", {},
    make("th", { scope: "row" }, tenant(row.name), bar(row.waiting / most)),
    ...[row.waiting, row.overdue, row.running].map((n) => make("td", { class: "number" }, count(n))),
    make("td", { class: "number wide" }, count(row.tokens)),
    make("td", { class: "number wide" }, String(row.weight)))));
  say("more-tenants", t.more ? `and ${count(t.more)} more tenants` : "");
}

function engines(picture) {
  document.getElementById("engines").replaceChildren(...picture.engines.map((e) => {
    const state = e.up ? "up" : "down";
    const limit = e.limit === null ? "no limit" : `of ${count(e.limit)}`;
    const own = e.running === null ? "tells no metrics" :
      `has ${count(e.running)} running, ${count(e.waiting)} waiting` +
      (e.usage === null ? "" : `, ${percent(e.usage)} of its cache`) +
      (e.evictions ? `, ${count(e.evictions)} evictions` : "");
    return make("li", {},
      make("div", { class: "name" }, engine(e.name), make("span", { class: `pill ${state}` }, e.up ? "up" : "taken out")),
      `${count(e.in_flight)} in flight, ${limit}`,
      bar(e.limit ? e.in_flight / e.limit : 0),
      make("p", { class: "small" }, `${count(e.expected_tokens)} tokens are expected yet. The engine (${e.kind}) ${own}` +
        (e.restarts ? `; started again ${count(e.restarts)} times` : "") + "."));
  }));
}

let drawn = ""; // the pairs, to draw them only when there are new ones

function forecasts(f) {
  const known = `${count(f.known)} of the last ${count(f.answers)} answers had a forecast.`;
  const promise = f.promised === null ? "None promised an interval." :
    `${percent(f.coverage)} of ${count(f.judged)} lay inside their interval; ${percent(f.promised)} was promised.`;
  say("coverage", `${known} ${promise}`);
  const now = JSON.stringify(f.pairs);
  if (now !== drawn) charts.pairs(f.pairs);
  drawn = now;
}

function latency({ latency: l, policy }) {
  const rows = [[`live, last ${count(l.answers)}`, l.recent]];
  if (l.replay) rows.push([`replayed, ${policy}`, l.replay.own], ["replayed, fcfs", l.replay.fcfs]);
  say("replay", l.replay ?
    `A replay of ${count(l.replay.requests)} requests of the journal, ${percent(Math.abs(l.replay.difference))} off ` +
    `what really happened, says that arrival order gives a mean of ${seconds(l.replay.fcfs.mean)} s ` +
    `instead of ${seconds(l.replay.own.mean)} s.` :
    `What arrival order would give is not known: ${l.reason}.`);
  charts.spread(l.recent, l.replay);
  const keys = ["mean", "median", "p90", "p99", "max"];
  document.getElementById("latencies").replaceChildren(...rows.map(([name, values]) => make("tr", {},
    make("th", { scope: "row" }, name),
    ...keys.map((key) => make("td", { class: "number" }, seconds(values?.[key]))))));
}
