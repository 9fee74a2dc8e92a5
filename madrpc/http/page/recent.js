
// The slowest calls with where their time went, and the last errors.

const PARTS = [
  ["queue_ms", "queue", "amber"],
  ["context_ms", "context", "violet"],
  ["run_ms", "run", "blue"],
  ["parked_ms", "parked", "teal"],
  ["wire_ms", "wire", "gray"],
];
const PART_TITLES = {
  queue: "waiting for a worker",
  context: "making a fresh JavaScript context",
  run: "running the function",
  parked: "waiting for functions it called",
  wire: "on the network and in servers on the way",
};

function showLegend(list) {
  list.append(...PARTS.map(([, name, ink]) => element("li", { class: `ink-${ink}`, text: name, title: PART_TITLES[name] })));
}

function showSlowest(list, empty, calls) {
  empty.hidden = calls.length > 0;
  const longest = Math.max(...calls.map(call => call.total_ms ?? 0), 0.001);
  list.replaceChildren(...calls.map(call => slowCall(call, longest)));
}

function slowCall(call, longest) {
  const total = element("span", { class: "total", text: milliseconds(call.total_ms) });
  const told = PARTS.filter(([field]) => call[field]);
  const untold = (call.total_ms ?? 0) - told.reduce((sum, [field]) => sum + call[field], 0);
  const isPartly = untold > 0.01 * longest;
  const words = told.map(([field, name]) => `${name} ${milliseconds(call[field])}`);
  if (isPartly) words.push(`not told ${milliseconds(untold)}`);
  const bar = element("span", { class: "parts", role: "img", "aria-label": words.join(", "), title: words.join(", ") });
  for (const [field, , ink] of told) {
    const part = element("span", { class: `ink-${ink}` });
    part.style.setProperty("--part", `${((100 * call[field]) / longest).toFixed(2)}%`);
    bar.append(part);
  }
  if (isPartly) {
    const part = element("span", { class: "untold" });
    part.style.setProperty("--part", `${((100 * untold) / longest).toFixed(2)}%`);
    bar.append(part);
  }
  const more = element("span", { class: "more" });
  const facts = [call.attempts > 1 ? `${decimal(call.attempts)} attempts` : null, age(call.age_s)];
  if (call.outcome && call.outcome !== "ok") more.append(element("span", { class: "bad", text: call.outcome }), " · ");
  if (call.node) more.append(element("bdi", { text: call.node }), " · ");
  more.append(facts.filter(Boolean).join(" · "));
  if (call.trace) more.title = `trace ${call.trace}`;
  const name = element("span", { class: "name", text: call.method ?? NOTHING, title: call.method ?? "" });
  return element("li", {}, name, total, bar, more);
}

/** Errors keep their elements, so that one that is open stays open. */
class Errors {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    this.known = new Map();
  }

  show(errors) {
    this.empty.hidden = errors.length > 0;
    const seen = new Map();
    for (const error of errors) {
      const key = JSON.stringify([error.method, error.node, error.name, error.message, error.stack]);
      if (seen.has(key)) continue;
      const shown = this.known.get(key) ?? this.#made(error);
      setText(shown.more, this.#facts(error));
      seen.set(key, shown);
    }
    const order = [...seen.values()].map(shown => shown.root);
    const children = this.list.children;
    if (order.length !== children.length || order.some((each, index) => each !== children[index])) {
      const focused = document.activeElement;
      this.list.replaceChildren(...order);
      if (focused && this.list.contains(focused)) focused.focus({ preventScroll: true });
    }
    this.known = seen;
  }

  #made(error) {
    const what = element("span", { class: "what" },
      element("code", {}, element("bdi", { text: error.method ?? NOTHING })), " ",
      element("b", {}, element("bdi", { text: error.name ?? "Error" })), " ", element("bdi", { text: error.message ?? "" }));
    const more = element("span", { class: "more" });
    const stack = element("pre", { tabindex: "0", text: error.stack || "This error has no stack." });
    const trace = error.trace ? [element("p", { class: "more", text: `trace ${error.trace}` })] : [];
    return { root: element("details", {}, element("summary", {}, what, more), stack, ...trace), more };
  }

  #facts(error) {
    const count = error.count > 1 ? `${decimal(error.count)} times` : null;
    return [count, age(error.age_s), error.node].filter(Boolean).join(" · ");
  }
}
