/**
 * Functions that call functions. `madrpc.call` runs the other function on any node, and while a
 * function waits it holds no worker, so even a pool of one runs all of this.
 */

/**
 * Count the words of one text.
 * @param {{text: string}} args
 * @returns {Object<string, number>}
 */
function count_words({ text }) {
  const counts = new Map();
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}

/**
 * Count the words of many texts, each in a call of its own, and add the counts up.
 * @param {{texts: string[]}} args
 * @returns {Promise<Object<string, number>>}
 */
async function map_reduce_words({ texts }) {
  const parts = await Promise.all(texts.map((text) => madrpc.call("count_words", { text })));
  const totals = new Map();
  for (const part of parts) {
    for (const [word, count] of Object.entries(part)) {
      totals.set(word, (totals.get(word) ?? 0) + count);
    }
  }
  return Object.fromEntries(totals);
}

/**
 * Add up a range of numbers by splitting it in two until the pieces are small.
 * @param {{from: number, to: number}} args both ends included
 * @returns {Promise<number>}
 */
async function sum_range({ from, to }) {
  if (to - from < 100) {
    let sum = 0;
    for (let n = from; n <= to; n++) sum += n;
    return sum;
  }
  const middle = Math.floor((from + to) / 2);
  const halves = await Promise.all([
    madrpc.call("sum_range", { from, to: middle }),
    madrpc.call("sum_range", { from: middle + 1, to }),
  ]);
  return halves[0] + halves[1];
}

/**
 * Estimate pi from many calls of monte_carlo_pi.js, which must be loaded beside this script.
 * @param {{calls?: number, samples?: number}} args
 * @returns {Promise<{pi: number, samples: number}>}
 */
async function estimate_pi({ calls = 20, samples = 50000 }) {
  const seeds = Array.from({ length: calls }, (_, seed) => seed);
  const parts = await Promise.all(
    seeds.map((seed) => madrpc.call("monte_carlo_sample", { samples, seed })),
  );
  const inside = parts.reduce((sum, part) => sum + part.inside, 0);
  return { pi: (4 * inside) / (calls * samples), samples: calls * samples };
}

madrpc.register("count_words", count_words);
madrpc.register("map_reduce_words", map_reduce_words);
madrpc.register("sum_range", sum_range);
madrpc.register("estimate_pi", estimate_pi);
