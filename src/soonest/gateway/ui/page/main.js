// The live page: asks for a key where one is needed, follows the gateway's pictures, and draws them.

import * as life from "./life.js";
import * as panels from "./panels.js";
import * as requests from "./requests.js";
import { Stream } from "./stream.js";
import { clock, say } from "./words.js";

const KEPT = "soonest-ui-key"; // in sessionStorage: this tab alone, until it is closed
const at = (id) => document.getElementById(id);
const blank = at("shown").cloneNode(true); // with nothing drawn
const secret = () => sessionStorage.getItem(KEPT) ?? "";
let picture = null;
let paused = false;
let notedAt = 0;

const stream = new Stream({
  picture(found) {
    const first = picture === null;
    const anew = !first && picture.started !== found.started;
    if (anew) {
      panels.forget();
      life.lost();
      note(`The gateway was started anew at ${clock(found.started)}; what it did before is not shown.`);
    }
    if (notedAt && Date.now() - notedAt > 30_000) note("");
    picture = found;
    status("live", found.draining ? "Stopping: no new requests" : paused ? "Paused" : "Live");
    at("shown").hidden = false;
    if (!paused || anew || first) draw();
  },
  lost: () => status("lost", "No connection; trying again"),
  stopping: () => status("lost", "The gateway stops; waiting for it to come back"),
  fault: () => status("lost", "The gateway cannot draw this page, and its log says why; trying again"),
  hidden: () => status("connecting", "Not looking while the tab is hidden"),
  refused(message) {
    sessionStorage.removeItem(KEPT);
    door(message);
  },
});

function draw() {
  if (picture === null) return;
  panels.draw(picture);
  table();
  life.look(secret());
}

function table() {
  if (picture !== null) requests.draw(picture, (key) => life.open(key, secret()));
}

function filters() {
  at("filters").addEventListener("change", table);
  at("filters").addEventListener("reset", () => setTimeout(table));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
}

function status(state, words) {
  at("status").dataset.state = state;
  say("status", words);
}

function note(words) {
  notedAt = words ? Date.now() : 0;
  at("note").hidden = !words;
  say("note", words);
}

// Who may not look is shown nothing, and what was shown is gone from the page.
function door(message) {
  picture = null;
  life.forget();
  panels.forget();
  requests.forget();
  at("shown").replaceWith(blank.cloneNode(true));
  filters();
  say("what", "");
  note("");
  at("forget").hidden = true;
  at("door").hidden = false;
  say("refused", message);
  status("key", "Needs a key");
  at("key").focus();
}

function look() {
  at("door").hidden = true;
  at("forget").hidden = !secret();
  status("connecting", "Connecting");
  stream.start(secret());
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = at("key").value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) return door("A key has no blanks and no letters beyond ASCII.");
  sessionStorage.setItem(KEPT, given);
  at("key").value = "";
  look();
});
at("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  stream.forget();
  door("");
});
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  if (at("status").dataset.state === "live" && !picture.draining) status("live", paused ? "Paused" : "Live");
  if (!paused) draw();
});

filters();
if (document.documentElement.dataset.keys === "yes" && !secret()) door("");
else look();
