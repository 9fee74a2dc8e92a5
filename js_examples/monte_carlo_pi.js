/**
 * Estimate pi: draw points in the unit square and count those inside the quarter circle.
 *
 * The share of points inside tends to pi / 4. Each call takes its own seed, so many calls can run
 * at once, on any node, and their counts simply add up.
 */

const MODULUS = 2 ** 31;
const MULTIPLIER = 1103515245;
const INCREMENT = 12345;
const MASK = 0x7fffffff; // x & MASK is x modulo MODULUS

/** The generator repeats itself after MODULUS numbers, and a point takes two. */
const MAX_SAMPLES = MODULUS / 2;

class LinearCongruentialGenerator {
  constructor(seed) {
    // The double modulo also folds a negative seed into 0..MODULUS - 1.
    this.state = ((seed % MODULUS) + MODULUS) % MODULUS;
  }

  /**
   * Count the points inside the circle among the next `samples` points.
   *
   * state * MULTIPLIER needs up to 62 bits and a double holds 53, so a plain `*` loses the low bits
   * and biases the stream; Math.imul keeps the low 32 bits exact. Coordinates stay integers, on a
   * square of side MODULUS.
   *
   * The loop is written for an interpreter: a method call per number makes it three times slower,
   * and `let` and `const`, which QuickJS checks at each use, a quarter slower than `var`.
   */
  countInside(samples) {
    var imul = Math.imul;
    var multiplier = MULTIPLIER;
    var increment = INCREMENT;
    var mask = MASK;
    var radiusSquared = MODULUS * MODULUS;
    var inside = 0;
    var y = this.state; // each coordinate is the state that the next one comes from
    for (var i = 0; i < samples; i++) {
      var x = (imul(y, multiplier) + increment) & mask;
      y = (imul(x, multiplier) + increment) & mask;
      if (x * x + y * y <= radiusSquared) inside++;
    }
    this.state = y;
    return inside;
  }
}

function checkInteger(name, value, lowest, highest) {
  if (typeof value !== "number") {
    throw new TypeError(`${name} must be a number, not ${value === null ? "null" : typeof value}`);
  }
  if (!Number.isInteger(value) || value < lowest || value > highest) {
    throw new RangeError(`${name} must be an integer from ${lowest} to ${highest}, not ${value}`);
  }
}

/**
 * Count the random points that fall inside the quarter circle.
 * @param {{samples?: number, seed?: number}} args how many points to draw, and from which stream
 * @returns {{inside: number, total: number}}
 */
function monte_carlo_sample({ samples = 1000000, seed = 0 }) {
  checkInteger("samples", samples, 0, MAX_SAMPLES);
  checkInteger("seed", seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const generator = new LinearCongruentialGenerator(seed);
  return { inside: generator.countInside(samples), total: samples };
}

madrpc.register("monte_carlo_sample", monte_carlo_sample);
