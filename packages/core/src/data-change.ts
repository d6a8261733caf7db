import { isDeepStrictEqual } from "node:util";
import type { Encoding } from "./encoding.ts";
import type { About } from "./refusal.ts";

/**
 * What a caller changed: the top-level keys by which the data that it wants differ from those that it saw. Decoded data are compared, because a
 * codec that encrypts encodes the same value differently each time. Each text is decoded at most once, and only if it has to be.
 */
export class DataChange<Data extends object> {
  /** What was stored when the caller saw it, encoded. */
  readonly base: string;
  /** What the caller wants, encoded. */
  readonly wanted: string;
  readonly #encoding: Encoding<Data>;
  readonly #about: About;
  readonly #shown: (stored: Data) => object;
  #baseData: Data | null | undefined;
  #wantedData: Data | null | undefined;

  /** @param shown the part of the stored data that the caller was shown: what is missing there it has not deleted */
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

  /** Decoded, shared: not to be changed. `null`: the codec cannot read it. */
  baseData(): Data | null {
    if (this.#baseData === undefined) this.#baseData = this.#encoding.decode(this.base, this.#about);
    return this.#baseData;
  }

  /** Decoded, shared: not to be changed. */
  wantedData(): Data | null {
    if (this.#wantedData === undefined) this.#wantedData = this.#encoding.decode(this.wanted, this.#about);
    return this.#wantedData;
  }

  isEmpty(): boolean {
    return this.base === this.wanted || this.#changedKeys().next().done === true;
  }

  /** Whether the caller was shown all that was stored, so that what it wants can replace it. */
  replaces(): boolean {
    const stored = this.baseData();
    if (!stored) return false;
    const shown = this.#shown(stored);
    return shown === stored || Object.keys(stored).every((key) => Object.hasOwn(shown, key));
  }

  /** The stored data with this change made to them. */
  applyTo(stored: Data): Data {
    const wanted = valuesByKey(this.wantedData());
    // A map, and fromEntries, which defines properties: `target[key] = value` with the key `__proto__` would replace the prototype.
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

/** Read its own keys only: any key may be one of `Object.prototype`. */
function valuesByKey(data: object | null): Readonly<Record<string, unknown>> {
  return (data ?? {}) as Readonly<Record<string, unknown>>;
}

/** Most values are equal strings or numbers, and `isDeepStrictEqual` takes much longer to see that. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  try {
    return typeof a === "object" && typeof b === "object" && isDeepStrictEqual(a, b);
  } catch {
    // A RangeError: they are nested some thousand deep, which JSON can be.
    return false;
  }
}
