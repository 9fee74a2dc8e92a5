// Makes globals that are compiled when the script first touches them, because compiling is what a
// fresh context costs. This file and random.js are compiled in every context that needs them, so
// their names are short. Value: the function that the engine speaks with.
//   control('define', names, text, data)  globals `names`, separated by spaces, come from `text`:
//                                         source of a function that takes (pieces, data) and
//                                         returns an object with them
//   control('reseed', key)                has crypto go on with another key, see crypto.js
//   control('logs'), control('next'), control('fire', first)   see console.js and timers.js
//   control(helper)                       calls helper with what a timer threw, and JSON.stringify
// `p` is `pieces`: what the pieces have in common, with the built-ins that what they tell the engine
// depends on, taken before a script can replace them. `p.lazy(target, names, make)` gives `target`
// members that `make` returns in an object once one of them is read.
(() => {
  const g = globalThis,
    d = Object.defineProperty,
    p = {
      __proto__: null,
      now: performance.now,
      stringify: JSON.stringify,
      compile: eval,
      reseed(k) {
        p.key = k;
      },
      lazy(t, n, f) {
        let o;
        for (const k of n.split(' ')) {
          const set = value => d(t, k, {value, writable: true, configurable: true});
          d(t, k, {
            configurable: true,
            set,
            get: function __madrpc_get() {
              set((o ??= f())[k]);
              return o[k];
            },
          });
        }
      },
    };
  return function __madrpc_control(n, a, b, c) {
    if (b) p.lazy(g, a, () => p.compile(b)(p, c));
    else if (typeof n === 'function') return n(p.thrown, p.stringify);
    else if (p[n]) return p[n](a);
  };
})();
