// For V8: what scripts assume, QuickJS has, and a bare realm has not. It is compiled in every context
// of the scripts that mention any of it, or a piece that builds on it.
(() => {
  const clock = Date.now;
  const began = clock();
  const later = Promise.resolve.bind(Promise);
  const {fromCharCode} = String;
  const {fromBase64} = Uint8Array;
  const bytes = Uint8Array;
  const toBase64 = Function.prototype.call.bind(Uint8Array.prototype.toBase64);
  let last = 0;
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, {value, writable: true, configurable: true});

  define('performance', {
    timeOrigin: began,
    // The finest clock there is counts milliseconds, and may be set back.
    now() {
      const now = clock() - began;
      return (last = now > last ? now : last);
    },
  });

  const codes = {
    __proto__: null,
    InvalidCharacterError: 5,
    TypeMismatchError: 17,
    QuotaExceededError: 22,
    DataCloneError: 25,
  };
  class DOMException extends Error {
    constructor(message = '', name = 'Error') {
      super(message);
      Object.defineProperty(this, 'name', {value: `${name}`, configurable: true});
    }
    get code() {
      return codes[this.name] ?? 0;
    }
    get [Symbol.toStringTag]() {
      return 'DOMException';
    }
  }
  define('DOMException', DOMException);

  const __madrpc_invalid = (name, why) => {
    throw new DOMException(`${name}: ${why}`, 'InvalidCharacterError');
  };
  define('atob', function __madrpc_atob(text) {
    let data;
    try {
      data = fromBase64.call(bytes, `${text}`);
    } catch (error) {
      __madrpc_invalid('atob(text)', 'text is not base64');
    }
    let binary = '';
    for (let at = 0; at < data.length; at += 8192)
      binary += fromCharCode(...data.subarray(at, at + 8192));
    return binary;
  });
  define('btoa', function __madrpc_btoa(text) {
    text = `${text}`;
    const data = new bytes(text.length);
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code > 255) __madrpc_invalid('btoa(text)', 'text has a character beyond U+00FF');
      data[at] = code;
    }
    return toBase64(data);
  });
  define('queueMicrotask', function __madrpc_queueMicrotask(job) {
    if (typeof job !== 'function') throw new TypeError('queueMicrotask(job): job must be a function');
    later().then(() => {
      job();
    });
  });
})();
