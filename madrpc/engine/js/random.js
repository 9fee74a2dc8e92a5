// Math.random: Marsaglia's multiply-with-carry, base 2**32, lag 3, multiplier 2091639. The modulus
// 2091639 * 2**96 - 1 is prime and so is half of one less, so the period is about 2**116.
//
// `a`, `b`, `d` are the last three digits, oldest first, `c` the carry, `t` the sum that the next
// digit and carry come from. Everything is a double, because the interpreter's integer operations
// take a slow path as soon as they leave 31 bits. A digit is an odd multiple of 2**-33 between -0.5
// and 0.5, so that adding and subtracting 1.5 * 2**52, which rounds to the carry, never meets a
// tie, and the sum is exact: it stays below 2**20 and has 33 bits after the point. The sum over the
// multiplier is the result: digit and carry together are uniform to 53 bits. The factor is a little
// less than 1 / 2091639, which keeps the largest result below 1. Value: a function that sets the
// state anew and returns the oldest digit of the one before.
(a, b, d, c) => {
  var t;
  Math.random = {
    random: () => (
      (t = 2091639 * a + c * 2.3283064365386963e-10),
      (a = b),
      (b = d),
      (d = t - (c = t + 6755399441055744 - 6755399441055744)),
      t * 4.780939731951832e-7 + 0.5
    ),
  }.random;
  return (x, y, z, w) => {
    t = a;
    a = x;
    b = y;
    d = z;
    c = w;
    return t;
  };
};
