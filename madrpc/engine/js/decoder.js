// TextDecoder. The engine has no such codec, but it has ones that compose to it: bytes to base64 to
// text of bytes, and percent-encoding from there.
(function __madrpc_decoder() {
  const labels = {
    __proto__: null,
    'utf-8': 'utf-8',
    utf8: 'utf-8',
    'unicode-1-1-utf-8': 'utf-8',
    'utf-16': 'utf-16le',
    'utf-16le': 'utf-16le',
    'ucs-2': 'utf-16le',
    unicode: 'utf-16le',
    'windows-1252': 'windows-1252',
    'iso-8859-1': 'windows-1252',
    latin1: 'windows-1252',
    l1: 'windows-1252',
    ascii: 'windows-1252',
    'us-ascii': 'windows-1252',
    cp1252: 'windows-1252',
  };
  // What bytes 0x80 to 0x9f are in windows-1252, which the web takes latin1 and ASCII for.
  const high =
    '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f' +
    '\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';

  const binary = bytes => atob(bytes.toBase64());

  function bytesOf(source) {
    if (source === undefined) return new Uint8Array(0);
    if (ArrayBuffer.isView(source))
      return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    if (source instanceof ArrayBuffer || source instanceof SharedArrayBuffer)
      return new Uint8Array(source);
    throw new TypeError('TextDecoder.decode(bytes): bytes must be a buffer or a view of one');
  }

  function joined(first, second) {
    if (first.length === 0) return second;
    const both = new Uint8Array(first.length + second.length);
    both.set(first);
    both.set(second, first.length);
    return both;
  }

  // Throws an error whose stack begins where `caller` was called.
  function refuse(error, caller) {
    Error.captureStackTrace(error, caller);
    throw error;
  }

  // The bytes at the end that may begin a character of which more is to come.
  function unfinished(bytes) {
    for (let back = 1; back <= 3 && back <= bytes.length; back++) {
      const byte = bytes[bytes.length - back];
      if (byte < 0x80) return 0;
      if (byte >= 0xc0) {
        const got = valid(bytes, bytes.length - back, bytes.length);
        return got === back && got < length(byte) ? back : 0;
      }
    }
    return 0;
  }

  // How many bytes a character has that begins with `lead`; 0: none begins with it.
  function length(lead) {
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0;
    if (lead < 0xe0) return 2;
    if (lead < 0xf0) return 3;
    return lead < 0xf5 ? 4 : 0;
  }

  // How many bytes from `at` are a character or the start of one; 0: none.
  function valid(bytes, at, end) {
    const lead = bytes[at];
    const need = length(lead);
    let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    let top = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    let got = need === 0 ? 0 : 1;
    while (
      got > 0 &&
      got < need &&
      at + got < end &&
      bytes[at + got] >= low &&
      bytes[at + got] <= top
    ) {
      got++;
      low = 0x80;
      top = 0xbf;
    }
    return got;
  }

  // Bytes of which some are wrong: each longest start of a character becomes one U+FFFD.
  function repaired(bytes) {
    const parts = [];
    let from = 0,
      at = 0;
    while (at < bytes.length) {
      const got = valid(bytes, at, bytes.length);
      if (got > 0 && got === length(bytes[at])) {
        at += got;
        continue;
      }
      parts.push(decodeURIComponent(escape(binary(bytes.subarray(from, at)))), '\ufffd');
      at += Math.max(1, got);
      from = at;
    }
    parts.push(decodeURIComponent(escape(binary(bytes.subarray(from)))));
    return parts.join('');
  }

  // In parts, because on the way each byte may become three characters.
  function utf8(bytes, fatal) {
    const parts = [];
    for (let at = 0, end = 0; at < bytes.length; at = end) {
      end = Math.min(at + 65536, bytes.length);
      if (end < bytes.length) end -= unfinished(bytes.subarray(at, end));
      parts.push(utf8Part(bytes.subarray(at, end), fatal));
    }
    return parts.join('');
  }

  function utf8Part(bytes, fatal) {
    try {
      return decodeURIComponent(escape(binary(bytes)));
    } catch (error) {
      if (fatal) throw new TypeError('TextDecoder.decode(bytes): the bytes are not valid UTF-8');
      return repaired(bytes);
    }
  }

  function utf16(bytes, fatal) {
    const parts = [];
    const units = new Uint16Array(bytes.slice(0, bytes.length & ~1).buffer);
    for (let at = 0; at < units.length; at += 4096)
      parts.push(String.fromCharCode.apply(null, units.subarray(at, at + 4096)));
    const text = parts.join('') + (bytes.length % 2 ? '\ufffd' : '');
    if (fatal && (bytes.length % 2 || !text.isWellFormed()))
      throw new TypeError('TextDecoder.decode(bytes): the bytes are not valid UTF-16');
    return text.toWellFormed();
  }

  function unfinished16(bytes) {
    const odd = bytes.length % 2;
    const last = bytes[bytes.length - odd - 1];
    return bytes.length >= 2 && last >= 0xd8 && last <= 0xdb ? odd + 2 : odd;
  }

  function latin(bytes) {
    return binary(bytes).replace(/[\x80-\x9f]/g, char => high[char.charCodeAt(0) - 0x80]);
  }

  const codecs = {
    __proto__: null,
    'utf-8': {decode: utf8, unfinished},
    'utf-16le': {decode: utf16, unfinished: unfinished16},
    'windows-1252': {decode: latin, unfinished: () => 0},
  };

  class TextDecoder {
    #codec;
    #encoding;
    #fatal;
    #ignoreBOM;
    #pending = new Uint8Array(0);
    #started = false;
    constructor(label = 'utf-8', options = {}) {
      const encoding = labels[`${label}`.trim().toLowerCase()];
      if (encoding === undefined) {
        const why = `TextDecoder: ${label} is not one of utf-8, utf-16le and windows-1252`;
        refuse(new RangeError(why), TextDecoder);
      }
      this.#codec = codecs[encoding];
      this.#encoding = encoding;
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }
    get encoding() {
      return this.#encoding;
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    decode(source, options) {
      const stream = Boolean(options?.stream);
      try {
        const bytes = joined(this.#pending, bytesOf(source));
        const end = bytes.length - (stream ? this.#codec.unfinished(bytes) : 0);
        this.#pending = bytes.slice(end);
        const text = this.#codec.decode(bytes.subarray(0, end), this.#fatal);
        const isFirst = !this.#started && text.length > 0;
        this.#started = stream && (this.#started || text.length > 0);
        return isFirst && !this.#ignoreBOM && text[0] === '\ufeff' ? text.slice(1) : text;
      } catch (error) {
        this.#pending = new Uint8Array(0);
        this.#started = false;
        refuse(error, this.decode);
      }
    }
    get [Symbol.toStringTag]() {
      return 'TextDecoder';
    }
  }

  return {TextDecoder};
});
