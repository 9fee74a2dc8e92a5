
// The events of the server, over fetch(), because EventSource cannot send a token.

const TOKEN_KEY = "madrpc-token";
const SILENT_MS = 12000;
const HIDDEN_MS = 60000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;

/** The browser's store, or one that lasts as long as the page where the browser forbids its own. */
function storeOf(kind) {
  try {
    return window[kind];
  } catch {
    const kept = new Map();
    return { getItem: key => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: key => kept.delete(key) };
  }
}

const tabStore = storeOf("sessionStorage");
const token = {
  get: () => tabStore.getItem(TOKEN_KEY) ?? "",
  set: value => (value ? tabStore.setItem(TOKEN_KEY, value) : tabStore.removeItem(TOKEN_KEY)),
  headers: () => (token.get() ? { Authorization: `Bearer ${token.get()}` } : {}),
};

/** Keeps the connection; `on` has a function for each event, and lost(reason), denied(). */
class Stream {
  #on;
  #abort = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #watchdog = 0;
  #isHidden = false;

  constructor(on) {
    this.#on = on;
    addEventListener("online", () => this.#soon());
    document.addEventListener("visibilitychange", () => this.#visibility());
  }

  /** Connect now, whatever was before. */
  async connect() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    let reason = "it cannot be reached";
    try {
      const reply = await fetch("/events", { headers: token.headers(), signal: abort.signal, cache: "no-store" });
      if (reply.status === 401) {
        this.#abort = null;
        return this.#on.denied(token.get() !== "");
      }
      if (!reply.ok) throw new Error((await reply.text()).trim() || `status ${reply.status}`);
      reason = "the connection was closed";
      await this.#read(reply.body);
    } catch (error) {
      if (error.name !== "TypeError") reason = error.message;
    }
    clearTimeout(this.#watchdog);
    if (this.#abort !== abort || this.#isHidden) return;
    this.#abort = null;
    this.#on.lost(reason);
    this.#timer = setTimeout(() => this.connect(), this.#wait);
    this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 2);
  }

  async #read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      this.#watch(reader);
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const text of events) this.#take(text);
    }
  }

  #take(text) {
    const found = /^event: (\w+)\ndata: (.*)$/.exec(text);
    if (!found) return;
    if (found[1] === "hello") this.#wait = FIRST_WAIT_MS;
    try {
      this.#on[found[1]]?.(JSON.parse(found[2]));
    } catch (error) {
      console.error(error); // One part that cannot be shown is no reason to leave the server.
    }
  }

  /** A server that says nothing for long is as good as gone. */
  #watch(reader) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => reader.cancel(), SILENT_MS);
  }

  #soon() {
    if (this.#abort === null && this.#timer) this.connect();
  }

  /** A page that nobody sees costs the server nothing; the history comes with the next connection. */
  #visibility() {
    clearTimeout(this.#timer);
    if (document.hidden) {
      this.#timer = setTimeout(() => {
        this.#isHidden = true;
        this.#abort?.abort();
        this.#abort = null;
      }, HIDDEN_MS);
    } else if (this.#isHidden || this.#abort === null) {
      this.#isHidden = false;
      this.connect();
    }
  }
}
