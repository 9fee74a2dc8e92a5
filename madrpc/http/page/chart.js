
// Lines over the last five minutes, as SVG: it is sharp everywhere and takes its colours from the style.

const SPAN_MS = 300000;
const GAP_MS = 3500;
const WIDTH = 600;
const HEIGHT = 100;

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** One chart: `series` are {label, ink, of(point), filled}; `least` is the lowest top of its scale. */
class Chart {
  constructor({ title, series, format, least }, cursor) {
    this.series = series;
    this.format = format;
    this.least = least;
    this.title = title;
    this.when = element("span");
    const list = element("dl", { class: series.length > 2 ? "several" : "few" });
    this.values = series.map(each => {
      const value = element("dd", { text: NOTHING });
      list.append(element("div", { class: `ink-${each.ink}` }, element("dt", { text: each.label }), value));
      return value;
    });
    this.top = element("span");
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const y of [0.5, HEIGHT / 2, HEIGHT]) this.drawing.append(svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
    this.paths = series.map(each => {
      const area = each.filled ? svg("path", { class: `area ink-${each.ink}` }) : null;
      const stroke = svg("path", { class: `stroke ink-${each.ink}` });
      if (area) this.drawing.append(area);
      this.drawing.append(stroke);
      return { area, stroke };
    });
    this.line = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
    this.drawing.append(this.line);
    const label = `${title}, last five minutes; the arrow keys go back in time`;
    this.plot = element("div", { class: "plot", tabindex: "0", role: "img", "aria-label": label }, this.drawing, this.top);
    const axis = element("div", { class: "axis", "aria-hidden": "true" }, element("span", { text: "5 min ago" }), element("span", { text: "now" }));
    this.root = element("figure", { class: "chart" }, element("figcaption", {}, element("h2", { text: title }), this.when), list, this.plot, axis);
    this.#listen(cursor);
  }

  #listen(cursor) {
    const move = event => {
      const box = this.plot.getBoundingClientRect();
      cursor.set(SPAN_MS * (1 - Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))));
    };
    this.plot.addEventListener("pointermove", move);
    this.plot.addEventListener("pointerdown", move);
    this.plot.addEventListener("pointerleave", () => cursor.set(null));
    this.plot.addEventListener("blur", () => cursor.set(null));
    this.plot.addEventListener("keydown", event => {
      const step = { ArrowLeft: 1000, ArrowRight: -1000, PageUp: 30000, PageDown: -30000 }[event.key];
      if (step) cursor.set(Math.min(SPAN_MS, Math.max(0, (cursor.ago ?? 0) + step)));
      if (event.key === "Escape") cursor.set(null);
      if (step) event.preventDefault();
    });
  }

  /** Draw the points, which are in order of their time `at` in milliseconds. */
  draw(points, now, ago) {
    const shown = points.filter(point => point.at >= now - SPAN_MS);
    let highest = this.least;
    for (const point of shown) for (const each of this.series) highest = Math.max(highest, each.of(point) ?? 0);
    const top = niceCeiling(highest);
    setText(this.top, this.format(top));
    this.series.forEach((each, index) => {
      const { stroke, area } = this.#shapes(shown, each.of, now, top);
      this.paths[index].stroke.setAttribute("d", stroke);
      this.paths[index].area?.setAttribute("d", area);
    });
    this.#showValues(shown, now, ago);
  }

  #shapes(points, of, now, top) {
    const runs = [];
    let last = null;
    for (const point of points) {
      const value = of(point);
      if (value === null || value === undefined) { last = null; continue; }
      if (last === null || point.at - last > GAP_MS) runs.push([]);
      last = point.at;
      const x = WIDTH * (1 - (now - point.at) / SPAN_MS);
      runs.at(-1).push([x.toFixed(1), (HEIGHT * (1 - value / top)).toFixed(1)]);
    }
    const stroke = runs.map(run => `M${run.map(pair => pair.join(" ")).join("L")}${run.length === 1 ? "h1.5" : ""}`).join("");
    const area = runs.map(run => `M${run[0][0]} ${HEIGHT}L${run.map(pair => pair.join(" ")).join("L")}L${run.at(-1)[0]} ${HEIGHT}Z`).join("");
    return { stroke, area };
  }

  #showValues(points, now, ago) {
    let point = points.at(-1);
    if (ago !== null) {
      const wanted = now - ago;
      const nearest = points.reduce((best, each) => (best && Math.abs(best.at - wanted) <= Math.abs(each.at - wanted) ? best : each), null);
      point = nearest && Math.abs(nearest.at - wanted) < GAP_MS ? nearest : undefined;
      const x = WIDTH * (1 - ago / SPAN_MS);
      this.line.setAttribute("x1", x);
      this.line.setAttribute("x2", x);
    }
    this.line.setAttribute("visibility", ago === null ? "hidden" : "visible");
    setText(this.when, ago === null ? "" : `${span(ago / 1000)} ago`);
    this.series.forEach((each, index) => setText(this.values[index], this.format(point ? each.of(point) : null)));
  }
}

/** Four charts, one cursor, and the points behind them. */
class Charts {
  constructor(root, descriptions) {
    this.points = [];
    this.fields = [];
    const cursor = { ago: null, set: ago => { cursor.ago = ago; this.draw(); } };
    this.cursor = cursor;
    this.charts = descriptions.map(each => new Chart(each, cursor));
    root.append(...this.charts.map(chart => chart.root));
  }

  /** The server's history; what it does not know, because it was started since, stays. */
  begin({ fields, rows }, serverNow) {
    this.fields = fields;
    this.offset = performance.now() - 1000 * serverNow;
    const known = rows.map(row => this.#point(row));
    const first = known.length ? known[0].at : performance.now();
    this.points = [...this.points.filter(point => point.at < first - 500), ...known];
    this.draw();
  }

  add(row) {
    const point = this.#point(row);
    if (this.points.length && point.at <= this.points.at(-1).at + 1) return;
    this.points.push(point);
    while (this.points[0].at < point.at - SPAN_MS - 5000) this.points.shift();
    this.draw();
  }

  #point(row) {
    const point = Object.fromEntries(this.fields.map((field, index) => [field, row[index]]));
    return { ...point, at: 1000 * point.t + this.offset };
  }

  draw() {
    const now = Math.max(this.points.at(-1)?.at ?? 0, performance.now() - 1500);
    for (const chart of this.charts) chart.draw(this.points, now, this.cursor.ago);
  }
}
