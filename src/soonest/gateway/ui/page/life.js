// One request's life, told anew with every picture until it is over.

import * as charts from "./charts.js";
import { over } from "./requests.js";
import { headers } from "./stream.js";
import { WHY, clock, count, engine, forecast, make, percent, say, seconds, tenant } from "./words.js";

const dialog = document.getElementById("life");
let key = null; // of the request that is shown
let ended = false;

document.getElementById("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => (key = null));

export async function open(asked, secret) {
  [key, ended] = [asked, false];
  clear();
  await look(secret);
}

// Nobody may look any more: nothing of a request stays on the page.
export function forget() {
  key = null;
  dialog.close();
  clear();
}

function clear() {
  for (const id of ["title", "state", "bar", "spans", "events", "facts"]) {
    document.getElementById(`life-${id}`).replaceChildren();
  }
  document.getElementById("life-bar").setAttribute("aria-label", "Its time");
  say("life-title", "Request");
}

// The gateway was started anew: it knows nothing of what was before.
export function lost() {
  if (key === null) return;
  ended = true;
  say("life-state", "The gateway was started anew and does not know this request any more.");
}

export async function look(secret) {
  if (key === null || ended) return;
  const asked = key;
  let said = null;
  try {
    const answer = await fetch(`requests/${encodeURIComponent(asked)}`, { headers: headers(secret), cache: "no-store" });
    if (!answer.ok && answer.status !== 404) return; // the stream says what is wrong
    said = answer.ok ? await answer.json() : null;
  } catch {
    return; // as above
  }
  if (asked !== key) return;
  if (!said) ended = true;
  if (!dialog.open) dialog.showModal();
  if (said) ended = over(said.state);
  if (said) show(said);
  else say("life-state", "The gateway does not remember this request any more.");
}

function show(said) {
  say("life-title", `Request ${said.id}`);
  say("life-state", state(said));
  charts.life(said);
  document.getElementById("life-events").replaceChildren(...events(said).map((words) => make("li", {}, words)));
  const facts = [
    ["Tenant", tenant(said.tenant)],
    ["Model", said.model || "–"],
    ["Engine", said.engine === null ? "–" : engine(said.engine)],
    ["Prompt", `${count(said.prompt_tokens)} tokens`],
    ["Answer", `${count(said.tokens)} tokens, at most ${count(said.max_tokens)}`],
    ["Answers asked for", count(said.choices)],
    ["Streamed", said.streams ? "yes" : "no"],
    ["Priority", String(said.priority)],
    ["Retries", count(said.failed_at.length)],
  ];
  document.getElementById("life-facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function state(said) {
  if (said.state === "running") return `Running for ${seconds(said.age - said.admitted)} s.`;
  if (said.state !== "waiting") return `It is over: ${said.state}.`;
  if (said.place === undefined) return `Waiting for ${seconds(said.age)} s, behind the first in line.`;
  const lane = said.lane === "overdue" ? "overdue lane" : "by rank";
  return `Waiting for ${seconds(said.age)} s, number ${said.place} in line, ${lane}. It waits for: ${WHY[said.why]}.`;
}

function events(said) {
  const told = [`Arrived at ${clock(said.arrival)}.`];
  const f = said.forecast;
  if (f === null) {
    told.push("No forecast: it is served in the order of arrival.");
  } else {
    const promise = f.coverage === null ? "" : `, ${percent(f.coverage)} promised`;
    const by = f.by === "client" ? "by the client" : `in ${(1000 * f.seconds).toFixed(2)} ms`;
    told.push(`Forecast ${by}: ${forecast(f)} tokens${promise}.`);
  }
  told.push(said.admitted === null && said.finished === null ? `Queued for ${seconds(said.age)} s so far.` : "Queued.");
  for (const url of said.failed_at) told.push(`Tried in vain at ${engine(url)}.`);
  if (said.admitted !== null) {
    told.push(`Admitted after ${seconds(said.admitted)} s; ${count(said.overtaken)} that came later went before it.`);
  }
  if (said.first_token !== null) told.push(`First token after ${seconds(said.first_token)} s.`);
  if (said.finished !== null) {
    const why = [said.finish_reason, said.status && `HTTP ${said.status}`].filter(Boolean).join(", ");
    const words = said.state === "finished" ? "Finished" : `Ended (${said.state})`;
    told.push(`${words} after ${seconds(said.finished)} s with ${count(said.tokens)} tokens${why ? ` (${why})` : ""}.`);
  }
  return told;
}
