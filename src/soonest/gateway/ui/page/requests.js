// The table of requests: filtered here, rows kept by request so that the focus stays where it is.

import { WHY, count, engine, forecast, make, say, seconds, tenant } from "./words.js";

const OVER = new Set(["finished", "failed", "cancelled", "rejected", "aborted"]);
const STATES = {
  "": () => true,
  waiting: (r) => r.state === "waiting",
  overdue: (r) => r.lane === "overdue",
  running: (r) => r.state === "running",
  finished: (r) => r.state === "finished",
  unanswered: (r) => OVER.has(r.state) && r.state !== "finished",
};
const by = (name) => document.getElementById(`by-${name}`);
const rows = new Map();

export const over = (state) => OVER.has(state);

export const forget = () => rows.clear();

export function draw(picture, open) {
  const names = new Set([...picture.tenants.rows.map((t) => t.name), ...picture.requests.map((r) => r.tenant)]);
  options(by("tenant"), [...names].sort().map((name) => [`=${name}`, tenant(name)]));
  options(by("engine"), picture.engines.map((e, i) => [String(i), engine(e.name)]));
  const [who, where, state] = ["tenant", "engine", "state"].map((name) => by(name).value);
  const found = picture.requests.filter((r) =>
    (!who || `=${r.tenant}` === who) && (!where || String(r.engine) === where) && STATES[state](r));
  const unlisted = picture.queue.waiting - picture.requests.filter((r) => r.state === "waiting").length;
  say("count", `${count(found.length)} of ${count(picture.requests.length)} requests` +
    (unlisted > 0 ? `; ${count(unlisted)} more wait behind the first in line` : "") +
    (found.length ? "" : ": none is as the filters ask"));
  place(found.map((r) => row(r, picture.engines, open)));
  for (const key of rows.keys()) if (!rows.get(key).isConnected) rows.delete(key);
}

function row(r, engines, open) {
  let made = rows.get(r.key);
  if (!made) {
    const button = make("button", { type: "button" }, r.id);
    button.title = r.id;
    button.addEventListener("click", () => open(r.key));
    made = make("tr", {}, make("th", { scope: "row" }, button), make("td", {}, make("span")),
      make("td", { class: "wide" }, tenant(r.tenant)), make("td"),
      ...["", "wide", "wide", "wide"].map((kind) => make("td", { class: `number ${kind}` })));
    rows.set(r.key, made);
  }
  const [, state, , where, total, queued, tokens, told] = made.children;
  state.firstChild.className = `pill ${r.lane === "overdue" ? "overdue" : r.state}`;
  say(state.firstChild, r.lane === "overdue" ? "overdue" : r.state);
  const at = r.engine === null ? "–" : engine(engines[r.engine].name);
  say(where, r.state === "waiting" ? `${r.place}. ${WHY[r.why]}` : at);
  say(total, seconds(r.age));
  say(queued, seconds(r.waited));
  say(tokens, r.state === "waiting" ? "–" : count(r.tokens));
  say(told, forecast(r));
  return made;
}

function place(wanted) {
  const body = document.getElementById("rows");
  const held = document.activeElement;
  const keep = new Set(wanted);
  for (const child of [...body.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((tr, i) => {
    if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] ?? null);
  });
  if (held && held !== document.activeElement && body.contains(held)) held.focus({ preventScroll: true });
}

function options(select, wanted) {
  const there = [...select.options].slice(1).map((o) => o.value);
  const chosen = select.value;
  const values = wanted.map(([value]) => value);
  if (chosen && !values.includes(chosen)) {
    wanted.push([chosen, select.selectedOptions[0].textContent]);
    values.push(chosen);
  }
  if (there.join("\n") === values.join("\n")) return;
  select.replaceChildren(select.options[0], ...wanted.map(([value, name]) => make("option", { value }, name)));
  select.value = chosen;
}
