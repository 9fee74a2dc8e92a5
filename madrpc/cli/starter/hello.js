/**
 * Greet somebody.
 * @param {{name?: string}} args who it is
 * @returns {{greeting: string}}
 */
function hello({ name = "world" }) {
  return { greeting: `Hello, ${name}!` };
}

/**
 * Greet many, each in a call of its own, on any core of any node.
 * @param {{names: string[]}} args
 * @returns {Promise<string[]>}
 */
async function hello_all({ names }) {
  const answers = await Promise.all(names.map((name) => madrpc.call("hello", { name })));
  return answers.map((answer) => answer.greeting);
}

madrpc.register("hello", hello);
madrpc.register("hello_all", hello_all);
