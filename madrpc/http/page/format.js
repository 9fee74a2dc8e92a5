
// Figures as a person reads them, in as few characters as they need.

const NOTHING = "–";

/** A number: 0, 3.2, 412, 12.3k. */
function decimal(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (value === 0) return "0";
  if (Number.isInteger(value) && value < 10000) return String(value);
  if (value < 9.95) return value < 0.05 ? value.toPrecision(1) : value.toFixed(1);
  if (value < 9999.5) return value.toFixed(0);
  for (const unit of ["k", "M", "G"]) {
    value /= 1000;
    if (value < 99.95) return value.toFixed(1) + unit;
    if (value < 999.5 || unit === "G") return value.toFixed(0) + unit;
  }
  return NOTHING;
}

/** A duration in milliseconds: 0.52 ms, 9.1 ms, 22 ms, 1.2 s. */
function milliseconds(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NOTHING;
  if (ms < 0.995) return `${ms.toFixed(2)} ms`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return ms < 99950 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 1000).toFixed(0)} s`;
}

/** A share of 1: 0 %, 0.2 %, 12 %. */
function percent(share) {
  return share === null || share === undefined ? NOTHING : `${decimal(100 * share)} %`;
}

/** Bytes in binary units: 212 MiB. */
function bytes(count) {
  if (count === null || count === undefined) return NOTHING;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (count < 999.5) return `${unit === "B" || count >= 9.95 ? count.toFixed(0) : count.toFixed(1)} ${unit}`;
    count /= 1024;
  }
  return `${count.toFixed(1)} TiB`;
}

/** A length of time: 12 s, 3 m 12 s, 2 h 05 m, 4 d 3 h. */
function span(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.max(0, Math.round(seconds));
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${String(minutes % 60).padStart(2, "0")} m`;
  return minutes ? `${minutes} m ${String(whole % 60).padStart(2, "0")} s` : `${whole} s`;
}

/** A number of things: 1 call, 12.3k calls. */
function counted(value, one, many) {
  return `${decimal(value)} ${value === 1 ? one : many}`;
}

/** How long ago something was, in one unit. */
function age(seconds) {
  if (seconds === null || seconds === undefined) return null;
  if (seconds < 1) return "just now";
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => seconds >= each);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** The smallest of 1, 2, 5, 10, 20, ... that is not below the value. */
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 5, 10]) if (step * power >= value * 0.9999) return step * power;
  return value;
}

// ------------------------------------------------------------------ the page

const byId = id => document.getElementById(id);

/** An element; text is only ever set as text, because much of it comes from others' scripts. */
function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Change text only where it differs, so that a selection in it stays. */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
