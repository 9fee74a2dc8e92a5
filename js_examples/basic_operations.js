/**
 * Small functions on numbers, text and objects, and a pipeline that chains them.
 *
 * Every function takes one object of named arguments and returns {result}. A wrong argument is a
 * TypeError that names it. Objects are built with Object.fromEntries and read through
 * Object.entries or Object.hasOwn: a key such as "__proto__" in somebody's JSON then stays plain
 * data, where an assignment would change the object's prototype.
 */

// Checks. Each returns the value that it was given, so that it can stand in an expression.

function kindOf(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function check(name, value, expected) {
  const kind = kindOf(value);
  if (kind !== expected) {
    throw new TypeError(`${name} must be of type ${expected}, not ${kind}`);
  }
  return value;
}

function checkArrayOf(name, values, expected) {
  check(name, values, "array").forEach((value, i) => check(`${name}[${i}]`, value, expected));
  return values;
}

/** JSON has no Infinity: without this check a caller would get null for an answer. */
function checkFinite(number) {
  if (!Number.isFinite(number)) throw new RangeError("the result is too large for a number");
  return number;
}

// Numbers

/**
 * Add two numbers.
 * @param {{a: number, b: number}} args
 * @returns {{result: number}}
 */
function add({ a, b }) {
  return { result: checkFinite(check("a", a, "number") + check("b", b, "number")) };
}

/**
 * Subtract b from a.
 * @param {{a: number, b: number}} args
 * @returns {{result: number}}
 */
function subtract({ a, b }) {
  return { result: checkFinite(check("a", a, "number") - check("b", b, "number")) };
}

/**
 * Multiply two numbers.
 * @param {{a: number, b: number}} args
 * @returns {{result: number}}
 */
function multiply({ a, b }) {
  return { result: checkFinite(check("a", a, "number") * check("b", b, "number")) };
}

/**
 * Divide a by b; an error when b is zero.
 * @param {{a: number, b: number}} args
 * @returns {{result: number}}
 */
function divide({ a, b }) {
  check("a", a, "number");
  if (check("b", b, "number") === 0) throw new Error("division by zero");
  return { result: checkFinite(a / b) };
}

// Text

/**
 * Join strings, with an optional separator between them.
 * @param {{strings: string[], separator?: string}} args
 * @returns {{result: string}}
 */
function concatenate({ strings, separator = "" }) {
  check("separator", separator, "string");
  return { result: checkArrayOf("strings", strings, "string").join(separator) };
}

/**
 * Reverse a text by code points, so that an emoji stays whole.
 * @param {{text: string}} args
 * @returns {{result: string}}
 */
function reverse({ text }) {
  return { result: Array.from(check("text", text, "string")).reverse().join("") };
}

/**
 * Turn a text into upper case.
 * @param {{text: string}} args
 * @returns {{result: string}}
 */
function uppercase({ text }) {
  return { result: check("text", text, "string").toUpperCase() };
}

/**
 * Turn a text into lower case.
 * @param {{text: string}} args
 * @returns {{result: string}}
 */
function lowercase({ text }) {
  return { result: check("text", text, "string").toLowerCase() };
}

/** Letters, combining marks, digits and underscores; apostrophes only inside, as in "don't". */
const WORD = /[\p{L}\p{M}\p{N}_]+(?:'[\p{L}\p{M}\p{N}_]+)*/gu;

/**
 * Count how often each word occurs in a text, in any script and without regard to case.
 * @param {{text: string}} args
 * @returns {{result: Object<string, number>}}
 */
function word_count({ text }) {
  // Accented letters and apostrophes have more than one spelling: count them as one.
  const plain = check("text", text, "string").normalize("NFC").replaceAll("’", "'");
  const words = plain.toLowerCase().match(WORD) ?? [];
  const counts = new Map(); // a plain object already "has" constructor
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return { result: Object.fromEntries(counts) };
}

// Objects

/**
 * Merge objects into one; where keys repeat, the later object wins.
 * @param {{objects: Object[]}} args
 * @returns {{result: Object}}
 */
function merge({ objects }) {
  checkArrayOf("objects", objects, "object");
  return { result: Object.fromEntries(objects.flatMap(Object.entries)) };
}

/**
 * Copy a value together with everything inside it.
 * @param {{value: *}} args
 * @returns {{result: *}}
 */
function deep_clone({ value }) {
  if (value === undefined) throw new TypeError("value is missing");
  return { result: JSON.parse(JSON.stringify(value)) }; // arguments are JSON: nothing gets lost
}

/**
 * Take the named keys out of an object; keys that it lacks are left out.
 * @param {{object: Object, keys: string[]}} args
 * @returns {{result: Object}}
 */
function pick({ object, keys }) {
  check("object", object, "object");
  checkArrayOf("keys", keys, "string");
  const present = keys.filter((key) => Object.hasOwn(object, key));
  return { result: Object.fromEntries(present.map((key) => [key, object[key]])) };
}

// Pipeline

/**
 * What a pipeline step may do, and which argument takes the value that flows through.
 * @type {Map<string, {run: (args: any) => {result: any}, input: string}>}
 */
const STEPS = new Map([
  ["add", { run: add, input: "a" }],
  ["subtract", { run: subtract, input: "a" }],
  ["multiply", { run: multiply, input: "a" }],
  ["divide", { run: divide, input: "a" }],
  ["concatenate", { run: concatenate, input: "strings" }],
  ["reverse", { run: reverse, input: "text" }],
  ["uppercase", { run: uppercase, input: "text" }],
  ["lowercase", { run: lowercase, input: "text" }],
  ["word_count", { run: word_count, input: "text" }],
  ["merge", { run: merge, input: "objects" }],
  ["deep_clone", { run: deep_clone, input: "value" }],
  ["pick", { run: pick, input: "object" }],
]);

function applyStep(value, { op, ...args }, index) {
  const step = STEPS.get(check(`steps[${index}].op`, op, "string"));
  if (step === undefined) {
    const known = [...STEPS.keys()].join(", ");
    throw new Error(`steps[${index}]: unknown operation "${op}"; known: ${known}`);
  }
  try {
    return step.run({ ...args, [step.input]: value }).result;
  } catch (error) {
    error.message = `steps[${index}] (${op}): ${error.message}`;
    throw error;
  }
}

/**
 * Send a value through a list of operations, each working on what the one before it returned.
 * @param {{value: *, steps: {op: string}[]}} args a step holds the operation's other arguments
 * @returns {{result: *}}
 */
function pipeline({ value, steps }) {
  if (value === undefined) throw new TypeError("value is missing");
  return { result: checkArrayOf("steps", steps, "object").reduce(applyStep, value) };
}

madrpc.register("add", add);
madrpc.register("subtract", subtract);
madrpc.register("multiply", multiply);
madrpc.register("divide", divide);
madrpc.register("concatenate", concatenate);
madrpc.register("reverse", reverse);
madrpc.register("uppercase", uppercase);
madrpc.register("lowercase", lowercase);
madrpc.register("word_count", word_count);
madrpc.register("merge", merge);
madrpc.register("deep_clone", deep_clone);
madrpc.register("pick", pick);
madrpc.register("pipeline", pipeline);
