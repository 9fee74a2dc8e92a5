
// The page: what comes in over the stream goes to where it is shown.

const share = point => (point.calls_per_s ? Math.min(1, point.errors_per_s / point.calls_per_s) : point.calls_per_s === null ? null : 0);
const figure = field => point => point[field];
const page = { hello: null, isLost: false, reason: "" };

const charts = new Charts(byId("charts"), [
  { title: "Throughput", format: decimal, least: 5, series: [{ label: "calls/s", ink: "blue", of: figure("calls_per_s"), filled: true }] },
  { title: "Errors", format: percent, least: 0.01, series: [{ label: "of calls failed", ink: "red", of: share, filled: true }] },
  {
    title: "Latency", format: milliseconds, least: 1,
    series: [
      { label: "p50", ink: "green", of: figure("p50_ms") },
      { label: "p95", ink: "amber", of: figure("p95_ms") },
      { label: "p99", ink: "violet", of: figure("p99_ms") },
    ],
  },
  {
    title: "Load", format: decimal, least: 5,
    series: [
      { label: "in flight", ink: "teal", of: figure("in_flight"), filled: true },
      { label: "queued", ink: "amber", of: figure("queued") },
    ],
  },
]);
const form = new CallForm(wasGiven => askForToken(wasGiven));
const nodes = new Table(byId("nodes"), {
  columns: nodeColumns(), key: row => row.address, sortBy: 1, descending: false, name: "nodes",
  none: "No nodes yet. Start one with: madrpc node -s SCRIPT.js --orchestrator ADDRESS",
});
const methods = new Table(byId("methods"), {
  columns: methodColumns(name => form.choose(name)), key: row => row.name, sortBy: 1, descending: true, name: "methods",
  none: "No functions yet. A script offers one with: madrpc.register(name, fn)",
});
const errors = new Errors(byId("errors-list"), byId("errors-empty"));
showLegend(byId("legend"));

// ----------------------------------------------------------------- the stream

const stream = new Stream({
  hello(told) {
    page.hello = told;
    charts.begin(told.points, told.now);
    connected();
  },
  sample(told) {
    connected();
    charts.add(told.point);
    nodes.take(told.nodes);
    methods.take(told.methods);
    form.offer(told.methods.rows.map(row => row[0]).filter(name => !name.startsWith("_")));
    showServer(told);
  },
  recent(told) {
    showSlowest(byId("slowest-list"), byId("slowest-empty"), told.slowest);
    errors.show(told.errors);
  },
  end(told) {
    page.reason = `the server is ${told.reason}`;
  },
  lost(reason) {
    page.isLost = true;
    byId("link").dataset.link = "lost";
    setText(byId("link"), "no connection");
    document.body.classList.add("is-lost");
    setText(byId("state"), "unreachable");
    byId("state").dataset.state = "down";
    showLost(page.reason || reason);
    page.reason = "";
  },
  denied: askForToken,
});

function connected() {
  page.isLost = false;
  page.reason = "";
  byId("link").dataset.link = "live";
  setText(byId("link"), "live");
  byId("banner").hidden = true;
  byId("token-form").hidden = true;
  byId("forget").hidden = token.get() === "";
  document.body.classList.remove("is-lost");
}

/** Said once when it happens; the words do not change each second, or a screen reader would not stop. */
function showLost(reason) {
  byId("banner").hidden = false;
  setText(byId("banner"), `No connection to the server: ${reason}. The figures are the last ones; this page comes back by itself.`);
}

function showServer(told) {
  const state = byId("state");
  setText(state, told.state);
  state.dataset.state = STATES.includes(told.state) ? told.state : "";
  const { address, host, version, isolation, sandbox, balance } = page.hello ?? {};
  setText(byId("address"), address ?? "");
  const up = told.role === "orchestrator" ? `${told.nodes.rows.filter(row => row[1] === "up").length}/${told.nodes.rows.length} nodes up` : null;
  const facts = [
    told.role, host && `on ${host}`, up, `${told.workers.busy}/${told.workers.size} workers busy`, `up for ${span(told.uptime_s)}`,
    counted(told.calls, "call", "calls"), told.retries ? counted(told.retries, "retry", "retries") : null,
    isolation && `isolation ${isolation}`, sandbox && `sandbox ${sandbox}`, balance, version && `v${version}`,
  ];
  setText(byId("meta"), facts.filter(Boolean).join(" · "));
  document.title = `${told.state === "up" ? "" : `${told.state} · `}${address ?? ""} · madrpc`;
}

// ------------------------------------------------------------ token and theme

function askForToken(wasGiven) {
  const form = byId("token-form");
  const wasHidden = form.hidden;
  form.hidden = false;
  byId("banner").hidden = true;
  byId("forget").hidden = true;
  byId("link").dataset.link = "wait";
  setText(byId("link"), "token needed");
  const note = byId("token-note");
  note.classList.toggle("bad", wasGiven);
  setText(note, wasGiven ? "The server did not take this token." : "Kept until this tab is closed.");
  byId("token").setAttribute("aria-invalid", String(wasGiven));
  token.set("");
  if (wasHidden || wasGiven) byId("token").focus();
}

byId("token-form").addEventListener("submit", event => {
  event.preventDefault();
  token.set(byId("token").value.trim());
  byId("token").value = "";
  stream.connect();
});
byId("forget").addEventListener("click", () => {
  token.set("");
  location.reload();
});

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
const theme = byId("theme");
const store = storeOf("localStorage");
theme.value = store.getItem("madrpc-theme") ?? "";
setTheme(theme.value);
theme.addEventListener("change", () => {
  setTheme(theme.value);
  store.setItem("madrpc-theme", theme.value);
});

setInterval(() => page.isLost && charts.draw(), 1000);
stream.connect();
