// Functions that try to hang, crash, fill or corrupt the process that runs them.
const tests = {
  // time
  endless_loop: () => { for (;;); },
  endless_loop_in_catch: () => { try { for (;;); } catch { for (;;); } finally { for (;;); } },
  endless_microtasks: async () => { for (;;) await 0; },
  endless_then_chain: () => new Promise(() => { (function g() { Promise.resolve().then(g); })(); }),
  endless_generator: () => { for (const _ of (function* () { for (;;) yield 1; })()); },
  endless_getter: () => ({ get a() { for (;;); } }),
  endless_to_json: () => ({ toJSON() { for (;;); } }),
  endless_to_string_of_thrown: () => { throw { toString() { for (;;); } }; },
  endless_stack_getter: () => { throw { name: "X", message: "m", get stack() { for (;;); } }; },
  endless_message_getter: () => { const e = new Error("x"); Object.defineProperty(e, "message", { get() { for (;;); } }); throw e; },
  endless_proxy_trap: () => new Proxy({}, { ownKeys() { for (;;); } }),
  endless_thenable: () => ({ then() { for (;;); } }),
  endless_comparator: () => [3, 2, 1].sort(() => { for (;;); }),
  endless_replacer: () => "a".replace(/a/, () => { for (;;); }),
  endless_eval: () => eval("for(;;);"),
  endless_function: () => new Function("for(;;);")(),
  regex_bomb: () => /^(a+)+$/.test("a".repeat(40) + "b"),
  native_join: () => Array.prototype.join.call({ length: 2 ** 32 - 1 }, ""),
  native_reverse: () => Array.prototype.reverse.call({ length: 2 ** 32 - 1 }),
  native_copy_within: () => Array.prototype.copyWithin.call({ length: 2 ** 32 - 1 }, 0, 1),
  native_sort: () => Array.prototype.sort.call({ length: 2 ** 32 - 1 }),
  native_big_int: () => { const x = 2n ** 500000n; for (;;) x * x; },
  native_index_of: () => { const s = "a".repeat(5e6); for (;;) s.indexOf("a".repeat(1e5) + "b"); },
  native_array_text: () => new Array(1e9) + "",
  slow_json_parse: () => JSON.parse("[" + "[".repeat(1e6)),
  // memory
  memory_push: () => { const a = []; for (;;) a.push({ x: 1 }); },
  memory_double: () => { let s = "x"; for (;;) s += s; },
  memory_map: () => { const m = new Map(); for (let i = 0; ; i++) m.set(i, {}); },
  memory_closures: () => { let f = () => 0; for (;;) { const g = f; f = () => g(); } },
  memory_buffers: () => { const a = []; for (;;) a.push(new ArrayBuffer(1e6)); },
  memory_one_buffer: () => new ArrayBuffer(1e9),
  memory_fill: () => new Array(1e9).fill(1),
  memory_repeat: () => "x".repeat(1e9).length,
  memory_pad: () => "x".padEnd(2 ** 30).length,
  memory_symbols: () => { const a = []; for (;;) a.push(Symbol("s" + a.length)); },
  memory_promises: () => { const a = []; for (;;) a.push(new Promise(() => {})); },
  memory_in_catch: () => { const a = []; try { for (;;) a.push({ x: 1 }); } catch { for (;;) a.push({ x: 1 }); } },
  memory_typed: () => { const a = []; for (;;) a.push(new Float64Array(1e5)); },
  // stack
  stack_recursion: () => { (function f() { f(); })(); },
  stack_mutual: () => { const a = () => b(), b = () => a(); a(); },
  stack_getter: () => { const o = { get a() { return o.a; } }; return o.a; },
  stack_to_string: () => { const o = { toString() { return "" + o; } }; return "" + o; },
  stack_proxy_chain: () => { let p = {}; for (let i = 0; i < 2e5; i++) p = new Proxy(p, {}); return p.x; },
  stack_comparator: () => [1, 2].sort(function f() { return [1, 2].sort(f); }),
  stack_source: () => eval("[".repeat(60000) + "]".repeat(60000)),
  stack_nested_json: () => { let v = []; for (let i = 0; i < 1e5; i++) v = [v]; return v; },
  stack_json_parse: () => JSON.parse("[".repeat(1e5) + "]".repeat(1e5)),
  stack_regex: () => new RegExp("(".repeat(1e5) + ")".repeat(1e5)),
  // results
  result_function: () => () => 1,
  result_symbol: () => Symbol("x"),
  result_big_int: () => 1n,
  result_nested_big_int: () => ({ a: [1n] }),
  result_cycle: () => { const a = {}; a.a = a; return a; },
  result_surrogate: () => "\ud800",
  result_huge: () => "x".repeat(20e6),
  result_throwing_to_json: () => ({ toJSON() { throw new Error("no"); } }),
  result_revoked_proxy: () => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy; },
  // throws
  throw_null: () => { throw null; },
  throw_undefined: () => { throw undefined; },
  throw_number: () => { throw 1; },
  throw_symbol: () => { throw Symbol("s"); },
  throw_proxy: () => { throw new Proxy({}, { get() { throw 1; } }); },
  throw_frozen: () => { throw Object.freeze(new Error("cold")); },
  throw_function: () => { throw () => 1; },
  throw_nul: () => { throw new Error("a\0b"); },
  throw_surrogate: () => { throw new Error("\ud800"); },
  throw_huge: () => { throw new Error("x".repeat(10e6)); },
  throw_getters: () => { throw { get name() { throw 1; }, get message() { throw 2; }, get stack() { throw 3; } }; },
  reject_undefined: () => Promise.reject(),
  reject_cycle: () => { const a = {}; a.a = a; return Promise.reject(a); },
  never_settles: () => new Promise(() => {}),
  unknown_global: () => nothingOfThatName,
  // reach
  reach_import: () => import("/etc/passwd"),
  reach_require: () => require("fs"),
  reach_process: () => process.exit(1),
  reach_std: () => std.open("/etc/passwd", "r"),
  reach_os: () => os.open("/etc/passwd"),
  reach_atomics_wait: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
};
for (const [name, run] of Object.entries(tests)) madrpc.register(name, run);

// Changes to the realm that must not outlive the call.
madrpc.register("poison", () => {
  globalThis.leaked = "leaked";
  Array.prototype.map = () => "poisoned";
  JSON.stringify = () => '"poisoned"';
  JSON.parse = () => "poisoned";
  Object.prototype.toJSON = () => "poisoned";
  Promise.prototype.then = () => "poisoned";
  Math.floor = () => "poisoned";
  madrpc.register = () => "poisoned";
  Object.defineProperty(Object.prototype, "result", { get: () => "poisoned" });
  return "done";
});
madrpc.register("clean", ({ numbers }) => ({
  leaked: typeof leaked, mapped: numbers.map((n) => Math.floor(n)), text: JSON.stringify({ a: 1 }),
}));
madrpc.register("echo", (x) => x);
