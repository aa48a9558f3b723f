// Server-sent events by fetch: an EventSource cannot send a key in a header.

const LONGEST_SILENCE = 30_000; // the gateway rests longer between pictures while it is crowded
const WAITS = [500, 1000, 2000, 4000];

export const headers = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

export class Stream {
  #abort = null;
  #wake = null;

  constructor(told) {
    this.told = told; // picture(object), lost(), stopping(), fault(), refused(message), hidden()
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  start(key) {
    this.key = key;
    this.stop();
    if (!document.hidden) this.#run((this.#abort = new AbortController()));
  }

  forget() {
    this.key = undefined;
    this.stop();
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
    this.#wake?.();
  }

  #seen() {
    if (document.hidden && this.#abort) {
      this.stop();
      this.told.hidden();
    } else if (!document.hidden && !this.#abort && this.key !== undefined) {
      this.start(this.key);
    }
  }

  async #run(abort) {
    for (let failures = 0; !abort.signal.aborted; failures += 1) {
      let told = false; // why it ended
      try {
        const answer = await fetch("events", { headers: headers(this.key), cache: "no-store", signal: abort.signal });
        if (answer.status === 401 || answer.status === 403) {
          const problem = await answer.json();
          this.key = undefined;
          this.#abort = null;
          this.told.refused(problem.error.message);
          return;
        }
        if (answer.ok) {
          const reader = answer.body.getReader();
          told = await this.#read(reader, () => (failures = -1)).finally(() => reader.cancel().catch(() => {}));
        }
      } catch {
        // whatever broke it, what follows is the same
      }
      if (abort.signal.aborted) return;
      if (!told) this.told.lost();
      await this.#rest(WAITS[Math.min(Math.max(failures, 0), WAITS.length - 1)]);
    }
  }

  // Until it ends; true if it said why.
  async #read(reader, well) {
    const words = new TextDecoder();
    let held = "";
    for (;;) {
      const silence = setTimeout(() => reader.cancel(), LONGEST_SILENCE);
      const { done, value } = await reader.read();
      clearTimeout(silence);
      if (done) return false;
      held += words.decode(value, { stream: true });
      const events = held.split("\n\n");
      held = events.pop();
      for (const event of events) if (!this.#take(event, well)) return true;
    }
  }

  #take(event, well) {
    const [, kind, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
    if (kind === "goodbye") this.told.stopping();
    if (kind === "fault") this.told.fault();
    if (kind === "picture") {
      well();
      try {
        this.told.picture(JSON.parse(data));
      } catch (problem) {
        console.error(problem); // a fault of the page is no reason to ask again
      }
    }
    return kind !== "goodbye" && kind !== "fault";
  }

  #rest(time) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, time);
    });
  }
}
