// What console needs to show objects as Node does, roughly, and its less common methods. `api` is
// what console.js offers, `console` the object it makes.
(function __madrpc_inspect(pieces, api, console) {
  const MOST_ITEMS = 100;
  const MOST_DEPTH = 2;
  const stringify = JSON.stringify;
  const counts = {__proto__: null};
  const timers = {__proto__: null};
  let room = 0;

  function quote(text) {
    if (text.length > room) text = `${text.slice(0, Math.max(0, room))}...`;
    const json = stringify(text);
    if (!text.includes("'")) return `'${json.slice(1, -1).replaceAll('\\"', '"')}'`;
    return text.includes('"')
      ? `'${json.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
      : json;
  }

  function primitive(value) {
    if (typeof value === 'string') return quote(value);
    if (typeof value === 'bigint') return `${value}n`;
    return Object.is(value, -0) ? '-0' : String(value);
  }

  function className(value) {
    for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
      const maker = Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
      if (typeof maker === 'function' && maker.name) return maker.name;
    }
    return '[Object: null prototype]';
  }

  function functionName(value) {
    const text = Function.prototype.toString.call(value);
    if (text.startsWith('class')) return `[class ${value.name || '(anonymous)'}]`;
    return value.name ? `[Function: ${value.name}]` : '[Function (anonymous)]';
  }

  // An error's stack without the frames of madrpc's own functions.
  function stackOf(error) {
    if (typeof error.stack !== 'string') return '';
    const lines = error.stack.trimEnd().split('\n');
    return lines.filter(line => !/^\s+at __madrpc/.test(line)).join('\n');
  }

  function errorText(error) {
    const stack = stackOf(error);
    const text = `${error}`;
    return stack === '' ? `[${text}]` : stack.startsWith(text) ? stack : `${text}\n${stack}`;
  }

  // Texts of the first items, as many as there is room for, and then how many more there are.
  function list(size, items, text) {
    const texts = [];
    for (const item of items) {
      if (texts.length === MOST_ITEMS || room <= 0) {
        const more = size - texts.length;
        texts.push(`... ${more} more item${more === 1 ? '' : 's'}`);
        break;
      }
      const shown = text(item);
      room -= shown.length + 2;
      texts.push(shown);
    }
    return texts;
  }

  function held(value, key, show) {
    const found = Object.getOwnPropertyDescriptor(value, key);
    if (found === undefined) return '<empty>';
    if (found.get) return found.set ? '[Getter/Setter]' : '[Getter]';
    return found.set ? '[Setter]' : show(found.value);
  }

  function property(value, key, show) {
    let name = key;
    if (typeof key === 'symbol') name = `[${String(key)}]`;
    else if (!/^[A-Za-z_$][\w$]*$/.test(key)) name = quote(key);
    return `${name}: ${held(value, key, show)}`;
  }

  function properties(value, show, skip) {
    const keys = Reflect.ownKeys(value).filter(
      key => !skip(key) && Object.prototype.propertyIsEnumerable.call(value, key),
    );
    return list(keys.length, keys, key => property(value, key, show));
  }

  const none = () => false;
  const isIndex = key => typeof key === 'string' && /^\d+$/.test(key);

  function wrap(prefix, [open, close], items) {
    return items.length === 0
      ? `${prefix}${open}${close}`
      : `${prefix}${open} ${items.join(', ')} ${close}`;
  }

  function* indexes(size) {
    for (let i = 0; i < size; i++) yield i;
  }

  // The parts of a collection's text: prefix, brackets, items. undefined: it is not a collection.
  function collection(value, name, show) {
    if (Array.isArray(value)) {
      const items = list(value.length, indexes(value.length), i => held(value, i, show));
      return [name === 'Array' ? '' : `${name}(${value.length}) `, '[]', items];
    }
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
      return [`${name}(${value.length}) `, '[]', list(value.length, value, primitive)];
    if (value instanceof Map) {
      const pair = ([key, mapped]) => `${show(key)} => ${show(mapped)}`;
      return [`${name}(${value.size}) `, '{}', list(value.size, value, pair)];
    }
    if (value instanceof Set)
      return [`${name}(${value.size}) `, '{}', list(value.size, value, show)];
    return undefined;
  }

  // The text of what is one word long. undefined: it is not.
  function simple(value) {
    if (typeof value === 'function') return functionName(value);
    if (value instanceof Error) return errorText(value);
    if (value instanceof Date) return isNaN(value) ? 'Invalid Date' : value.toISOString();
    if (value instanceof RegExp) return `${value}`;
    if (value instanceof ArrayBuffer) return `ArrayBuffer { byteLength: ${value.byteLength} }`;
    for (const type of [Number, String, Boolean, BigInt, Symbol])
      if (value instanceof type) return `[${type.name}: ${primitive(value.valueOf())}]`;
    return undefined;
  }

  function inspect(value, depth, above) {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function'))
      return primitive(value);
    if (above.includes(value)) return '[Circular]';
    const word = simple(value);
    if (word !== undefined && (value instanceof String || isBare(value))) return word;
    const name = className(value);
    if (depth > MOST_DEPTH) return word ?? (Array.isArray(value) ? '[Array]' : `[${name}]`);
    const show = inner => inspect(inner, depth + 1, [...above, value]);
    if (word !== undefined) {
      const items = properties(value, show, none);
      if (value instanceof Error && value.cause !== undefined)
        items.push(`[cause]: ${show(value.cause)}`);
      return wrap(`${word} `, '{}', items);
    }
    const tag = value[Symbol.toStringTag];
    const other = name === 'Object' ? '' : `${name} `;
    const tagged = typeof tag === 'string' && tag !== '' && tag !== name;
    const [prefix, brackets, items] = collection(value, name, show) ?? [
      tagged ? `${other || 'Object '}[${tag}] ` : other,
      '{}',
      [],
    ];
    // An array may have millions of indexes, and listing them only to leave them out takes as long.
    if (brackets === '{}' || value.length <= MOST_ITEMS)
      items.push(...properties(value, show, brackets === '{}' ? none : isIndex));
    return wrap(prefix, brackets, items);
  }

  function isBare(value) {
    return (
      Object.keys(value).length === 0 && !(value instanceof Error && value.cause !== undefined)
    );
  }

  function show(value) {
    try {
      return typeof value === 'string' ? value : inspect(value, 0, []);
    } catch (error) {
      return '[unreadable]';
    }
  }

  function directive(kind, value) {
    try {
      if (kind === 's') return typeof value === 'string' ? value : inspect(value, MOST_DEPTH, []);
      if (kind === 'd' || kind === 'i' || kind === 'f') {
        if (typeof value === 'bigint') return `${value}n`;
        if (typeof value === 'object' || typeof value === 'symbol') return 'NaN';
        return primitive(
          kind === 'd' ? Number(value) : kind === 'i' ? parseInt(value) : parseFloat(value),
        );
      }
      if (kind === 'j') return stringify(value) ?? 'undefined';
      return kind === 'c' ? '' : inspect(value, 0, []);
    } catch (error) {
      return '[unreadable]';
    }
  }

  function format(args) {
    room = api.room();
    let used = 0,
      text = '';
    if (args.length > 0) {
      text = show(args[0]);
      used = 1;
      if (typeof args[0] === 'string' && args.length > 1) {
        text = text.replace(/%([sdifjoOc%])/g, (whole, kind) => {
          if (kind === '%') return '%';
          return used < args.length ? directive(kind, args[used++]) : whole;
        });
      }
    }
    for (; used < args.length; used++) text += ` ${show(args[used])}`;
    return text;
  }

  const {info, debug, error} = console;
  const elapsed = label => `${label}: ${(pieces.now() - timers[label]).toFixed(3)}ms`;
  const group = (...args) => {
    if (args.length > 0) info(...args);
    api.indent = `${api.indent}  `.slice(0, 40);
  };

  return {
    format,
    group,
    groupCollapsed: group,
    groupEnd: () => {
      api.indent = api.indent.slice(2);
    },
    dir: value => info(value),
    table: value => info(value),
    trace: function __madrpc_trace(...args) {
      debug(`Trace: ${format(args)}\n${stackOf(new Error())}`);
    },
    assert: (holds, ...args) => {
      if (!holds) error(`Assertion failed${args.length > 0 ? `: ${format(args)}` : ''}`);
    },
    count: (label = 'default') => info(`${label}: ${(counts[label] = (counts[label] ?? 0) + 1)}`),
    countReset: (label = 'default') => {
      counts[label] = 0;
    },
    time: (label = 'default') => {
      timers[label] = pieces.now();
    },
    timeLog: (label = 'default', ...args) => {
      if (label in timers) info(elapsed(label), ...args);
    },
    timeEnd: (label = 'default') => {
      if (label in timers) info(elapsed(label));
      delete timers[label];
    },
  };
});
