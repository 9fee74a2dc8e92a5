// TextEncoder. The engine has no such codec, but it has ones that compose to it: percent-encoding to
// text of bytes, and base64 from there.
(function __madrpc_encoder() {
  const part = text =>
    Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))));

  // In parts, because on the way each character may become nine.
  function encode(text) {
    if (text.length <= 65536) return part(text);
    const parts = [];
    let size = 0;
    for (let at = 0, end = 0; at < text.length; at = end) {
      end = Math.min(at + 65536, text.length);
      // Both halves of a surrogate pair go into the same part.
      if (text.codePointAt(end - 1) > 0xffff) end++;
      size += parts[parts.push(part(text.slice(at, end))) - 1].length;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const some of parts) {
      bytes.set(some, at);
      at += some.length;
    }
    return bytes;
  }

  class TextEncoder {
    get encoding() {
      return 'utf-8';
    }
    encode(text = '') {
      return encode(`${text}`);
    }
    encodeInto(source, target) {
      if (!(target instanceof Uint8Array)) {
        const why = 'TextEncoder.encodeInto(text, target): target must be a Uint8Array';
        const error = new TypeError(why);
        Error.captureStackTrace(error, this.encodeInto);
        throw error;
      }
      const bytes = encode(`${source}`.slice(0, target.length));
      let written = Math.min(bytes.length, target.length);
      while (written < bytes.length && (bytes[written] & 0xc0) === 0x80) written--;
      target.set(bytes.subarray(0, written));
      let read = 0;
      for (let i = 0; i < written; i++) {
        if ((bytes[i] & 0xc0) !== 0x80) read += bytes[i] < 0xf0 ? 1 : 2;
      }
      return {read, written};
    }
    get [Symbol.toStringTag]() {
      return 'TextEncoder';
    }
  }

  return {TextEncoder};
});
