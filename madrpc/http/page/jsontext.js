
// Where a JSON text is wrong. JSON.parse decides whether it is; browsers do not agree on saying where.

class JsonProblem extends Error {
  constructor(message, at) {
    super(message);
    this.at = at;
  }
}

/** Read a JSON text once; throws a JsonProblem with the place of the first thing that is wrong. */
function checkJson(text) {
  let at = 0;
  const fail = (message, place = at) => { throw new JsonProblem(message, place); };
  const shown = () => (at < text.length ? JSON.stringify(text[at]) : "the end");
  const space = () => { while (" \t\r\n".includes(text[at]) && at < text.length) at++; };

  function string() {
    const start = at++;
    while (text[at] !== '"') {
      if (at >= text.length) fail("this string has no end", start);
      if (text[at] < " ") fail("a line break or control character in a string must be escaped");
      if (text[at] === "\\") {
        const escape = /^\\(["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(at, at + 6));
        if (!escape) fail("this is no escape that JSON knows");
        at += escape[0].length;
      } else {
        at++;
      }
    }
    at++;
  }

  function list(end, item) {
    at++;
    space();
    if (text[at] === end) return void at++;
    for (;;) {
      item();
      space();
      if (text[at] === end) return void at++;
      if (text[at] !== ",") fail(`expected "," or "${end}", not ${shown()}`);
      at++;
      space();
      if (text[at] === end) fail(`a comma must not stand before "${end}"`);
    }
  }

  function pair() {
    if (text[at] !== '"') fail(`expected a name in double quotes, not ${shown()}`);
    string();
    space();
    if (text[at] !== ":") fail(`expected ":" after the name, not ${shown()}`);
    at++;
    value();
  }

  function value() {
    space();
    if (text[at] === "{") return list("}", pair);
    if (text[at] === "[") return list("]", value);
    if (text[at] === '"') return string();
    const word = /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)/.exec(text.slice(at, at + 400));
    if (!word) fail(text[at] === "'" ? "JSON's strings stand in double quotes" : `expected a value, not ${shown()}`);
    at += word[0].length;
  }

  value();
  space();
  if (at < text.length) fail(`expected nothing more, not ${shown()}`);
}

/** What is wrong with the arguments: {message, at, line, column}, or null if nothing is. */
function problemOf(text) {
  let problem = null;
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return null;
    problem = new JsonProblem("arguments go by name: write an object, such as {\"a\": 1}", text.search(/\S/));
  } catch (error) {
    try {
      checkJson(text);
      problem = new JsonProblem(error.message, 0);
    } catch (found) {
      problem = found instanceof JsonProblem ? found : new JsonProblem(error.message, 0);
    }
  }
  const before = text.slice(0, problem.at).split("\n");
  return { message: problem.message, at: problem.at, line: before.length, column: before.at(-1).length + 1 };
}

/** The problem in words, with its line and a mark below the place. */
function pointedAt(text, problem) {
  const line = text.split("\n")[problem.line - 1] ?? "";
  const from = Math.max(0, problem.column - 30);
  const excerpt = line.slice(from, from + 44).replaceAll("\t", " ");
  return `Line ${problem.line}, column ${problem.column}: ${problem.message}\n${excerpt}\n${" ".repeat(problem.column - 1 - from)}^`;
}
