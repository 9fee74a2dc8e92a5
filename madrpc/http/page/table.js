
// A table that is sorted, filtered and kept up to date without being built anew.

/**
 * Columns are {label, of(row), show(row), title, left, order(row), ink(row), fill(cell, row), isRare}:
 * `of` is the value, for sorting and the CSV; `order` sorts otherwise; `show` is the text; `fill` puts
 * more than text into a cell; `isRare` hides the column while no row has a value.
 */
class Table {
  constructor(root, { columns, key, sortBy, descending, name, none }) {
    this.columns = columns;
    this.key = key;
    this.sorted = { column: columns[sortBy], descending };
    this.name = name;
    this.none = none;
    this.rows = [];
    this.known = new Map();
    this.table = root.querySelector("table");
    this.count = root.querySelector("[data-count]");
    this.empty = root.querySelector("[data-empty]");
    this.filter = root.querySelector("[data-filter]");
    this.filter.addEventListener("input", () => this.render(true));
    root.querySelector("[data-csv]").addEventListener("click", () => this.download());
    root.querySelector("[data-csv]").setAttribute("aria-label", `Download the ${name} as CSV`);
    this.body = element("tbody");
    this.isHeld = false;
    this.body.addEventListener("pointerenter", () => { this.isHeld = true; });
    this.body.addEventListener("pointerleave", () => { this.isHeld = false; });
    this.table.append(this.#head(), this.body);
  }

  #head() {
    const row = element("tr");
    this.heads = this.columns.map(column => {
      const button = element("button", { type: "button", text: column.label });
      if (column.title) button.title = column.title;
      button.addEventListener("click", () => this.sort(column));
      const cell = element("th", { scope: "col", ...(column.left ? { class: "left" } : {}) }, button);
      row.append(cell);
      return cell;
    });
    this.#mark();
    return element("thead", {}, row);
  }

  sort(column) {
    const same = this.sorted.column === column;
    this.sorted = { column, descending: same ? !this.sorted.descending : !column.left };
    this.#mark();
    this.render(true);
  }

  #mark() {
    this.columns.forEach((column, index) => {
      if (column === this.sorted.column) this.heads[index].setAttribute("aria-sort", this.sorted.descending ? "descending" : "ascending");
      else this.heads[index].removeAttribute("aria-sort");
    });
  }

  /** Take rows as the server tells them: names of the fields, and a list for each row. */
  take({ fields, rows }) {
    this.rows = rows.map(row => Object.fromEntries(fields.map((field, index) => [field, row[index]])));
    this.render(false);
  }

  /** The rows that are shown, in order. */
  shown() {
    const wanted = this.filter.value.trim().toLowerCase();
    const rows = wanted ? this.rows.filter(row => this.#words(row).includes(wanted)) : [...this.rows];
    const { column, descending } = this.sorted;
    const sign = descending ? -1 : 1;
    const value = column.order ?? column.of;
    return rows.sort((a, b) => sign * compare(value(a), value(b), sign) || compare(this.key(a), this.key(b), 1));
  }

  #words(row) {
    return this.columns.filter(column => column.left).map(column => column.of(row)).join(" ").toLowerCase();
  }

  /** Show the rows; while a pointer is over them they keep their places, unless the user asks. */
  render(isAsked) {
    let rows = this.shown();
    if (this.isHeld && !isAsked) rows = this.#inPlace(rows);
    this.columns.forEach((column, index) => {
      this.heads[index].hidden = Boolean(column.isRare) && !this.rows.some(row => column.of(row));
    });
    const seen = new Map();
    for (const row of rows) {
      const shown = this.known.get(this.key(row)) ?? this.#newRow();
      seen.set(this.key(row), shown);
      this.columns.forEach((column, index) => this.#fill(shown.cells[index], column, row, this.heads[index].hidden));
    }
    const order = [...seen.values()].map(shown => shown.root);
    const children = this.body.children;
    if (order.length !== children.length || order.some((each, index) => each !== children[index])) this.#place(order);
    this.known = seen;
    this.#say(rows.length);
  }

  /** Put the rows in order; the one with the focus does not lose it. */
  #place(order) {
    const focused = document.activeElement;
    this.body.replaceChildren(...order);
    if (focused && this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  #inPlace(rows) {
    const places = new Map([...this.known.keys()].map((key, index) => [key, index]));
    const place = row => places.get(this.key(row)) ?? Infinity;
    return rows.sort((a, b) => compare(place(a), place(b), 1));
  }

  #newRow() {
    const cells = this.columns.map((column, index) =>
      element(index === 0 ? "th" : "td", { ...(index === 0 ? { scope: "row" } : {}), ...(column.left ? { class: "left" } : {}) }));
    return { root: element("tr", {}, ...cells), cells };
  }

  #fill(cell, column, row, isHidden) {
    cell.hidden = isHidden;
    if (column.fill) return column.fill(cell, row);
    const text = column.show ? column.show(row) : String(column.of(row) ?? NOTHING);
    setText(cell, text);
    if (column.left && cell.title !== text) cell.title = text;
    const ink = column.ink?.(row) ?? "";
    cell.classList.toggle("bad", ink === "bad");
    cell.classList.toggle("none", text === NOTHING || text === "0");
  }

  #say(count) {
    setText(this.count, count === this.rows.length ? String(count) : `${count} of ${this.rows.length}`);
    this.empty.hidden = count > 0;
    this.table.parentElement.hidden = this.rows.length === 0;
    setText(this.empty, this.rows.length ? `No ${this.name} match “${this.filter.value.trim()}”.` : this.none);
  }

  /** Save what is shown, as a spreadsheet reads it. */
  download() {
    const lines = [this.columns.map(column => column.csv ?? column.label)];
    for (const row of this.shown()) lines.push(this.columns.map(column => column.of(row)));
    const text = lines.map(line => line.map(csvCell).join(",")).join("\r\n") + "\r\n";
    const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    const link = element("a", { href: url, download: `madrpc-${this.name}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}

/** A cell of a CSV file; a name that a spreadsheet would take for a formula gets a quote before it. */
function csvCell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const inOrder = new Intl.Collator("en", { numeric: true });

/** Order of two values; what is not known comes last either way. */
function compare(a, b, sign) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return sign * (noA - noB);
  return typeof a === "string" ? inOrder.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0) : a - b;
}

const STATES = ["down", "ejected", "suspect", "probing", "draining", "degraded", "connecting", "leaving", "up"];

function nodeColumns() {
  const short = row => row.scripts.map(([name, sha]) => `${name}@${sha.slice(0, 8)}`).join(" ");
  return [
    { label: "Node", csv: "node", of: row => row.address, left: true },
    { label: "State", csv: "state", of: row => row.state, order: row => STATES.indexOf(row.state), left: true, fill: stateCell },
    { label: "Workers", csv: "workers_busy", title: "Busy of all; a worker is a process that runs one function at a time", of: row => (row.answers ? row.busy : null), fill: workersCell },
    { label: "CPU", csv: "cpu_percent", title: "Of one core; two busy cores are 200 %", of: row => row.cpu_percent, show: row => (row.cpu_percent === null ? NOTHING : `${row.cpu_percent.toFixed(0)} %`) },
    { label: "Memory", csv: "rss_bytes", of: row => row.rss_bytes, show: row => bytes(row.rss_bytes) },
    { label: "Calls/s", csv: "calls_per_s", of: row => row.calls_per_s, show: row => decimal(row.calls_per_s) },
    { label: "p95", csv: "p95_ms", title: "95 of 100 calls of the last seconds took no longer", of: row => row.p95_ms, show: row => milliseconds(row.p95_ms) },
    { label: "Queued", csv: "queued", of: row => row.queued, show: row => decimal(row.queued) },
    { label: "Errors", csv: "errors", title: "Since the node started", of: row => row.errors, show: row => decimal(row.errors), ink: row => (row.errors ? "bad" : "") },
    { label: "Up for", csv: "uptime_s", of: row => row.uptime_s, show: row => span(row.uptime_s) },
    { label: "Scripts", csv: "scripts", of: short, left: true },
    { label: "Engine", csv: "engine", of: row => row.engine || null, left: true, show: row => row.engine || NOTHING, isRare: true },
  ];
}

function stateCell(cell, row) {
  const shown = cell.firstChild ?? cell.appendChild(element("span", { class: "state" }));
  setText(shown, row.state);
  shown.dataset.state = STATES.includes(row.state) ? row.state : "";
  if (cell.title !== row.error) cell.title = row.error;
}

function workersCell(cell, row) {
  if (!cell.firstChild) cell.append(element("span", { class: "share", "aria-hidden": "true" }), "");
  const part = row.workers ? Math.min(1, row.busy / row.workers) : 0;
  cell.firstChild.style.setProperty("--part", `${(100 * part).toFixed(0)}%`);
  setText(cell.lastChild, row.answers ? `${row.busy}/${row.workers}` : `${NOTHING}/${row.workers}`);
}

function methodColumns(choose) {
  const named = (cell, row) => {
    if (!cell.firstChild) {
      const button = element("button", { type: "button" });
      button.addEventListener("click", () => choose(button.textContent));
      cell.append(button);
    }
    setText(cell.firstChild, row.name);
    if (cell.title !== row.name) cell.title = row.name;
  };
  const ms = (label, field, title) => ({ label, csv: field, title, of: row => row[field], show: row => milliseconds(row[field]) });
  const names = row => Object.entries(row.errors_by_name).sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${decimal(count)}`).join(", ");
  return [
    { label: "Function", csv: "function", of: row => row.name, left: true, fill: named },
    { label: "Calls/s", csv: "calls_per_s", of: row => row.calls_per_s, show: row => decimal(row.calls_per_s) },
    ms("p50", "p50_ms", "Half of the calls of the last seconds took no longer"),
    ms("p95", "p95_ms", "95 of 100 calls took no longer"),
    ms("p99", "p99_ms", "99 of 100 calls took no longer"),
    { label: "Slowest", csv: "max_ms", title: "Since the server started", of: row => (row.calls ? row.max_ms : null), show: row => milliseconds(row.calls ? row.max_ms : null) },
    { label: "Calls", csv: "calls", title: "Since the server started", of: row => row.calls, show: row => decimal(row.calls) },
    { label: "Errors/s", csv: "errors_per_s", of: row => row.errors_per_s, show: row => decimal(row.errors_per_s), ink: row => (row.errors_per_s ? "bad" : "") },
    { label: "Errors", csv: "errors", title: "Since the server started", of: row => row.errors, show: row => decimal(row.errors), ink: row => (row.errors ? "bad" : "") },
    { label: "Kinds of errors", csv: "errors_by_name", of: row => names(row) || null, left: true, show: row => names(row) || NOTHING },
  ];
}
