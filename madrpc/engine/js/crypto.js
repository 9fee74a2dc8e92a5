// crypto.getRandomValues and crypto.randomUUID from ChaCha20, with a key that the engine draws for
// each call or derives from its seed. `key` is 64 hexadecimal digits; `pieces.reseed` takes another one
// and returns how many blocks were drawn with the one before.
(function __madrpc_crypto(pieces, key) {
  const state = new Int32Array(16);
  const words = new Int32Array(16);
  const block = new Uint8Array(words.buffer);
  let used = 64;
  state.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  const secret = new Uint8Array(state.buffer, 16, 32);
  secret.setFromHex(pieces.key ?? key);

  pieces.reseed = function __madrpc_reseed(key) {
    const drawn = state[12];
    secret.setFromHex(key);
    state[12] = state[13] = 0;
    used = 64;
    return drawn;
  };

  function quarter(a, b, c, d) {
    const w = words;
    let x;
    w[a] += w[b];
    x = w[d] ^ w[a];
    w[d] = (x << 16) | (x >>> 16);
    w[c] += w[d];
    x = w[b] ^ w[c];
    w[b] = (x << 12) | (x >>> 20);
    w[a] += w[b];
    x = w[d] ^ w[a];
    w[d] = (x << 8) | (x >>> 24);
    w[c] += w[d];
    x = w[b] ^ w[c];
    w[b] = (x << 7) | (x >>> 25);
  }

  function refill() {
    words.set(state);
    for (let round = 0; round < 10; round++) {
      quarter(0, 4, 8, 12);
      quarter(1, 5, 9, 13);
      quarter(2, 6, 10, 14);
      quarter(3, 7, 11, 15);
      quarter(0, 5, 10, 15);
      quarter(1, 6, 11, 12);
      quarter(2, 7, 8, 13);
      quarter(3, 4, 9, 14);
    }
    for (let i = 0; i < 16; i++) words[i] += state[i];
    state[12]++;
    if (state[12] === 0) state[13]++;
    used = 0;
  }

  function fill(bytes) {
    for (let at = 0; at < bytes.length;) {
      if (used === 64) refill();
      const count = Math.min(64 - used, bytes.length - at);
      bytes.set(block.subarray(used, used + count), at);
      used += count;
      at += count;
    }
  }

  return {
    crypto: {
      getRandomValues: function __madrpc_getRandomValues(array) {
        const name = ArrayBuffer.isView(array) ? array[Symbol.toStringTag] : '';
        if (!/Int|Uint/.test(name))
          throw new DOMException(
            'crypto.getRandomValues(array): array must be an integer typed array',
            'TypeMismatchError',
          );
        if (array.byteLength > 65536)
          throw new DOMException(
            `crypto.getRandomValues(array): ${array.byteLength} bytes are more than 65536`,
            'QuotaExceededError',
          );
        fill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
        return array;
      },
      randomUUID: function __madrpc_randomUUID() {
        const bytes = new Uint8Array(16);
        fill(bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        const hex = bytes.toHex();
        return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
      },
    },
  };
});
