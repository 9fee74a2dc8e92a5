// What every peer runs, each call in a fresh context.
madrpc.register("add", ({ a, b }) => a + b);

madrpc.register("pi", ({ samples, seed }) => {
  let state = seed >>> 0;
  let inside = 0;
  for (let i = 0; i < samples; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = state / 4294967296;
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const y = state / 4294967296;
    if (x * x + y * y <= 1) inside++;
  }
  return inside;
});

madrpc.register("echo", (args) => args);
