/**
 * What a madrpc script finds besides the language itself, for editors and the TypeScript compiler.
 *
 * Beside a jsconfig.json with "checkJs", every script of the folder is checked against this file;
 * 'madrpc init' makes both. There is no fetch, require, process or window: calls do no I/O.
 */

declare namespace madrpc {
  /** What a function may return: whatever JSON.stringify can write. */
  type Returned = object | string | number | boolean | null | undefined | void;

  /**
   * Offer a function to callers.
   *
   * @param name what it is called by: not empty, at most 255 bytes, not beginning with "_"
   * @param fn takes one object with the named arguments, and returns a JSON value or a promise of
   *   one; what it throws reaches the caller as JavaScriptError
   */
  function register<Args extends object = any, Result extends Returned = any>(
    name: string,
    fn: (args: Args) => Result | PromiseLike<Result>,
  ): void;

  /**
   * Run another function, on any node of the cluster. While this one waits it holds no worker, so
   * many calls with Promise.all are fine.
   *
   * @param name that of a registered function
   * @param args its named arguments
   * @returns its result; rejected with an Error that has name, message, code and data
   */
  function call<Result = any>(name: string, args?: object): Promise<Result>;
}

/** Writes to the node's log, with the call's id; what is too much is left out. */
interface Console {
  debug(...values: unknown[]): void;
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}
declare const console: Console;

/** Run a function after some milliseconds. The call ends with its result, whatever timers are left. */
declare function setTimeout<Args extends unknown[]>(
  fn: (...args: Args) => void,
  ms?: number,
  ...args: Args
): number;
declare function setInterval<Args extends unknown[]>(
  fn: (...args: Args) => void,
  ms?: number,
  ...args: Args
): number;
declare function clearTimeout(id: number | undefined): void;
declare function clearInterval(id: number | undefined): void;
declare function queueMicrotask(fn: () => void): void;

/** A deep copy of plain data, Map, Set, Date, RegExp, Error, typed arrays and buffers. */
declare function structuredClone<T>(value: T): T;

/** Base64 to text of which each character is one byte. */
declare function atob(text: string): string;
/** Text of which each character is one byte to base64. */
declare function btoa(text: string): string;

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
  encodeInto(text: string, bytes: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(bytes?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}

interface Performance {
  /** Milliseconds since some instant, with fractions. */
  now(): number;
  readonly timeOrigin: number;
}
declare const performance: Performance;

type IntegerArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface Crypto {
  /** Fill an array of at most 65536 bytes; reproducible with the call's seed. */
  getRandomValues<T extends IntegerArray>(array: T): T;
  randomUUID(): string;
}
declare const crypto: Crypto;

/** The global object, as bundles for browsers know it. */
declare const self: typeof globalThis;
