
// The form that calls a function, over the same JSON-RPC that everybody else uses.

const MOST_SHOWN = 200000;

class CallForm {
  #abort = null;
  #names = "";

  constructor(denied) {
    this.denied = denied;
    this.form = byId("call-form");
    this.method = byId("method");
    this.args = byId("args");
    this.problem = byId("args-error");
    this.form.addEventListener("submit", event => {
      event.preventDefault();
      this.call();
    });
    this.form.addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.call();
      }
    });
    this.args.addEventListener("input", () => this.#check());
    this.args.addEventListener("blur", () => this.#check(true));
    byId("call-stop").addEventListener("click", () => this.#abort?.abort());
  }

  /** What can be called. */
  offer(names) {
    const joined = names.join("\n");
    if (joined === this.#names) return;
    this.#names = joined;
    byId("method-names").replaceChildren(...names.map(name => element("option", { value: name })));
    if (names.length === 1 && !this.method.value) this.method.value = names[0];
  }

  /** Make this the function to call, and go there. */
  choose(name) {
    this.method.value = name;
    this.form.scrollIntoView({ block: "nearest" });
    this.args.focus();
  }

  /** Say what is wrong with the arguments: at once where it was said before, else when they are left. */
  #check(isLeft = false) {
    const wasWrong = !this.problem.hidden;
    if (!isLeft && !wasWrong) return null;
    const problem = problemOf(this.args.value || "{}");
    this.problem.hidden = problem === null;
    this.args.setAttribute("aria-invalid", String(problem !== null));
    setText(this.problem, problem ? pointedAt(this.args.value, problem) : "");
    return problem;
  }

  async call() {
    if (this.#abort) return;
    const name = this.method.value.trim();
    if (!name) return this.method.focus();
    const problem = this.#check(true);
    if (problem) {
      this.args.focus();
      return this.args.setSelectionRange(problem.at, problem.at + 1);
    }
    const timeout = Number(byId("timeout").value);
    if (!(timeout >= 0.001 && timeout <= 86400)) return byId("timeout").focus();
    this.#running(true);
    const start = performance.now();
    try {
      await this.#ask(name, Math.round(1000 * timeout), start);
    } catch (error) {
      const left = error.name === "AbortError";
      this.#show(left ? "Cancelled" : "No answer", left ? "The call was given up." : "The server could not be reached; the call may have run.", start, false);
    } finally {
      this.#running(false);
    }
  }

  async #ask(name, timeoutMs, start) {
    // The arguments go as they were written: reading them here could change large numbers.
    const body = `{"jsonrpc":"2.0","id":1,"method":${JSON.stringify(name)},"params":${this.args.value || "{}"}}`;
    const reply = await fetch("/rpc", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Madrpc-Timeout-Ms": String(timeoutMs), ...token.headers() },
      body,
      signal: this.#abort.signal,
      cache: "no-store",
    });
    const text = await reply.text();
    if (reply.status === 401) this.denied(token.get() !== "");
    if (!reply.ok) return this.#show(`Refused (${reply.status})`, text.trim(), start, false);
    const answer = JSON.parse(text);
    if (answer.error) return this.#failed(answer.error, start);
    this.#show("Result", this.#resultText(text, answer), start, true);
  }

  #failed({ message, data }, start) {
    const { stack, name: _name, message: _message, ...others } = data?.data ?? {};
    const extra = Object.keys(others).length ? JSON.stringify(others, null, 2) : null;
    this.#show(data?.name ?? "Error", [message, stack, extra].filter(Boolean).join("\n"), start, false);
  }

  #resultText(text, answer) {
    const shown = JSON.stringify(answer.result ?? null, null, 2);
    if (shown.length <= MOST_SHOWN) return shown;
    return `${shown.slice(0, MOST_SHOWN)}\n… ${decimal(shown.length - MOST_SHOWN)} more characters`;
  }

  #show(title, text, start, isWell) {
    const answer = byId("answer");
    answer.hidden = false;
    answer.classList.toggle("ok", isWell);
    answer.classList.toggle("bad", !isWell);
    setText(byId("answer-title"), title);
    setText(byId("answer-time"), milliseconds(performance.now() - start));
    setText(byId("answer-text"), text);
  }

  #running(isRunning) {
    this.#abort = isRunning ? new AbortController() : null;
    byId("call-go").disabled = isRunning;
    byId("call-stop").hidden = !isRunning;
  }
}
