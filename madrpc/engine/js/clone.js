// structuredClone, as far as the types that exist here reach.
(function __madrpc_clone() {
  const __madrpc_fail = (value, why) => {
    let what = typeof value;
    try {
      if (typeof value === 'symbol') what = String(value);
      else if (typeof value === 'function') what = `function ${value.name}`;
      else what = Object.prototype.toString.call(value);
    } catch (error) {
      // A proxy that refuses to be described is still a value that cannot be cloned.
    }
    throw new DOMException(`${what} could not be cloned${why}`, 'DataCloneError');
  };
  const errors = {
    __proto__: null,
    EvalError,
    RangeError,
    ReferenceError,
    SyntaxError,
    TypeError,
    URIError,
  };
  const opaque = [WeakMap, WeakSet, WeakRef, Promise, FinalizationRegistry];
  const boxes = [Boolean, Number, String, BigInt];

  function __madrpc_buffer(value) {
    if (value.detached) __madrpc_fail(value, ': it is detached');
    return value.resizable ? resized(value) : value.slice(0);
  }

  function resized(value) {
    const made = new ArrayBuffer(value.byteLength, {maxByteLength: value.maxByteLength});
    new Uint8Array(made).set(new Uint8Array(value));
    return made;
  }

  function __madrpc_view(value, copy) {
    const made = copy(value.buffer);
    const size = value instanceof DataView ? value.byteLength : value.length;
    const name = value instanceof DataView ? 'DataView' : value[Symbol.toStringTag];
    return new globalThis[name](made, value.byteOffset, size);
  }

  function __madrpc_cloneError(value, copy, remember) {
    const {prototype} = errors[`${value.name}`] ?? Error;
    const cloned = remember(Object.setPrototypeOf(new Error(), prototype));
    const hidden = (key, held) =>
      Object.defineProperty(cloned, key, {value: held, writable: true, configurable: true});
    if ('message' in value) hidden('message', `${value.message}`);
    if (typeof value.stack === 'string') hidden('stack', value.stack);
    if (Object.hasOwn(value, 'cause')) hidden('cause', copy(value.cause));
    return cloned;
  }

  function __madrpc_properties(from, to, copy) {
    for (const key of Object.keys(from)) {
      // A key may be gone by now: reading an earlier one can run a getter.
      if (!Object.hasOwn(from, key)) continue;
      Object.defineProperty(to, key, {
        value: copy(from[key]),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    return to;
  }

  function __madrpc_make(value, copy, remember) {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      return __madrpc_properties(value, remember({}), copy);
    if (Array.isArray(value)) {
      const list = remember([]);
      list.length = value.length;
      return __madrpc_properties(value, list, copy);
    }
    if (value instanceof Map) {
      const map = remember(new Map());
      for (const [key, held] of [...value]) map.set(copy(key), copy(held));
      return map;
    }
    if (value instanceof Set) {
      const set = remember(new Set());
      for (const held of [...value]) set.add(copy(held));
      return set;
    }
    if (value instanceof Date) return remember(new Date(value.getTime()));
    if (value instanceof RegExp) return remember(new RegExp(value.source, value.flags));
    if (value instanceof ArrayBuffer) return remember(__madrpc_buffer(value));
    if (ArrayBuffer.isView(value)) return remember(__madrpc_view(value, copy));
    if (value instanceof Error) return __madrpc_cloneError(value, copy, remember);
    for (const type of boxes) if (value instanceof type) return remember(Object(value.valueOf()));
    if (value instanceof Symbol) __madrpc_fail(value.valueOf(), '');
    for (const type of opaque) if (value instanceof type) __madrpc_fail(value, '');
    return __madrpc_properties(value, remember({}), copy);
  }

  function __madrpc_structuredClone(value, options) {
    if (arguments.length === 0) throw new TypeError('structuredClone(value): a value is required');
    const known = new Map();
    const transfers = options?.transfer === undefined ? [] : [...options.transfer];
    for (const item of transfers) {
      if (!(item instanceof ArrayBuffer) || item.detached)
        __madrpc_fail(item, ': it cannot be transferred');
      if (known.has(item)) __madrpc_fail(item, ': it is transferred twice');
      known.set(item, item);
    }
    // A buffer is moved only after everything could be cloned, so its views wait for it.
    for (const item of transfers) known.delete(item);
    const __madrpc_copy = item => {
      if (item === null || (typeof item !== 'object' && typeof item !== 'function')) {
        return typeof item === 'symbol' ? __madrpc_fail(item, '') : item;
      }
      if (typeof item === 'function') __madrpc_fail(item, '');
      if (known.has(item)) return known.get(item);
      const remember = twin => {
        known.set(item, twin);
        return twin;
      };
      return __madrpc_make(item, __madrpc_copy, remember);
    };
    const result = __madrpc_copy(value);
    for (const item of transfers) item.transfer();
    return result;
  }

  return {structuredClone: __madrpc_structuredClone};
});
