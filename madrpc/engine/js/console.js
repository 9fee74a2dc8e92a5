// console. Lines are kept here, up to a cap, until the engine takes them with pieces.logs. What it
// takes to show anything but plain text and numbers is in `inspector`, the source of inspect.js, and
// is compiled when it is needed.
(function __madrpc_console(pieces, inspector) {
  const MOST_LINES = 100;
  const MOST_CHARS = 16384;
  const {stringify} = pieces;
  let taken = '';
  let lines = 0;
  let chars = 0;
  let dropped = 0;

  // Takes the lines; `forget` has none of them count towards the cap. Value: a JSON text, and once
  // more as JSON, because text put together from pieces may be a rope, and the engine's binding
  // takes only flat text.
  pieces.logs = forget => {
    if (dropped > 0) {
      const lost = `... ${dropped} more line${dropped === 1 ? '' : 's'} dropped`;
      taken += `${taken && ','}["warn",${stringify(lost)}]`;
    }
    const text = stringify(`[${taken}]`);
    taken = '';
    dropped = 0;
    if (forget) lines = chars = 0;
    return text;
  };

  let inspect;
  const api = {
    room: () => (lines < MOST_LINES ? MOST_CHARS - chars : 0),
    indent: '',
    write(level, text) {
      const left = api.room();
      if (left <= 0) {
        dropped++;
        return;
      }
      if (api.indent) text = api.indent + text.replaceAll('\n', `\n${api.indent}`);
      if (text.length > left) text = `${text.slice(0, left)}... (${text.length} characters)`;
      lines++;
      chars += text.length;
      taken += `${taken && ','}["${level}",${stringify(`${text}`)}]`;
    },
    format(args) {
      const first = args[0];
      let plain = args.length < 2 || typeof first !== 'string' || !first.includes('%');
      let text = '';
      for (let i = 0; plain && i < args.length; i++) {
        const value = args[i];
        plain = value === null || !'object function symbol bigint'.includes(typeof value);
        if (plain) text += `${i > 0 ? ' ' : ''}${Object.is(value, -0) ? '-0' : value}`;
      }
      return plain ? text : inspected().format(args);
    },
  };
  const inspected = () => (inspect ??= pieces.compile(inspector)(pieces, api, console));

  const at = level =>
    function __madrpc_log(...args) {
      // Past the cap a line costs next to nothing, whatever it would have shown.
      api.write(level, api.room() > 0 ? api.format(args) : '');
    };
  const info = at('info');
  const console = {log: info, info, debug: at('debug'), warn: at('warn'), error: at('error')};
  const others =
    'assert count countReset dir group groupCollapsed groupEnd table time timeEnd timeLog trace';
  pieces.lazy(console, others, inspected);
  return {console};
});
