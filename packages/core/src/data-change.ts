import { isDeepStrictEqual } from "node:util";
import type { Encoding } from "./encoding.ts";
import type { About } from "./refusal.ts";

/**
 * What a caller changed: the top-level keys that differ between the data it saw and the data it wants stored.
 * Compares decoded data, because an encrypting codec encodes the same value differently each time. Decodes
 * each text at most once, and only when needed.
 */
export class DataChange<Data extends object> {
  /** What the caller saw and what it wants stored, encoded. */
  readonly base: string;
  readonly wanted: string;
  readonly #encoding: Encoding<Data>;
  readonly #about: About;
  readonly #shown: (stored: Data) => object;
  #baseData: Data | null | undefined;
  #wantedData: Data | undefined;

  /**
   * @param shown returns the part of the stored data that the caller could see. A key outside it was not
   *   deleted
   */
  constructor(
    encoding: Encoding<Data>,
    about: About,
    texts: { readonly base: string; readonly wanted: string },
    shown: (stored: Data) => object = (stored) => stored,
  ) {
    this.#encoding = encoding;
    this.#about = about;
    this.#shown = shown;
    this.base = texts.base;
    this.wanted = texts.wanted;
  }

  /** Returns decoded data, shared: do not modify. `null`: the codec cannot read it. */
  baseData(): Data | null {
    if (this.#baseData === undefined) this.#baseData = this.#encoding.decode(this.base, this.#about);
    return this.#baseData;
  }

  /** @throws TypeError if the codec cannot decode what it encoded */
  wantedData(): Data {
    return (this.#wantedData ??= this.#encoding.decodeOwn(this.wanted, this.#about));
  }

  isEmpty(): boolean {
    return this.base === this.wanted || this.#changedKeys().next().done === true;
  }

  /** Whether the caller saw every stored key, so that the wanted data can replace the stored data. */
  replaces(): boolean {
    const stored = this.baseData();
    if (!stored) return false;
    const shown = this.#shown(stored);
    return shown === stored || Object.keys(stored).every((key) => Object.hasOwn(shown, key));
  }

  /** Returns the stored data with this change applied. */
  applyTo(stored: Data): Data {
    const wanted = valuesByKey(this.wantedData());
    // `Object.fromEntries` defines properties: `target[key] = value` with the key `__proto__` would replace
    // the prototype.
    const result = new Map(Object.entries(stored));
    for (const key of this.#changedKeys()) {
      if (Object.hasOwn(wanted, key)) result.set(key, wanted[key]);
      else result.delete(key);
    }
    return Object.fromEntries(result) as Data;
  }

  *#changedKeys(): Generator<string> {
    const base = this.baseData();
    const seen = valuesByKey(base && this.#shown(base));
    const wanted = valuesByKey(this.wantedData());
    for (const key of Object.keys(wanted)) {
      if (!Object.hasOwn(seen, key) || !isSame(seen[key], wanted[key])) yield key;
    }
    for (const key of Object.keys(seen)) if (!Object.hasOwn(wanted, key)) yield key;
  }
}

/** Check `Object.hasOwn` before reading: any key may be one of `Object.prototype`. */
function valuesByKey(data: object | null): Readonly<Record<string, unknown>> {
  return (data ?? {}) as Readonly<Record<string, unknown>>;
}

/**
 * Most values are equal strings or numbers, for which `isDeepStrictEqual` is much slower than `Object.is`.
 */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  try {
    return typeof a === "object" && typeof b === "object" && isDeepStrictEqual(a, b);
  } catch {
    // A RangeError: the values are nested thousands of levels deep, which JSON allows.
    return false;
  }
}
