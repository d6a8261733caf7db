import { isDeepStrictEqual } from "node:util";
import type { Codec } from "./codec.ts";

/** What one caller changed: top-level keys with their new value, and those that it deleted. */
export interface DataChanges {
  readonly set: ReadonlyMap<string, unknown>;
  readonly deleted: ReadonlySet<string>;
}

export const NO_CHANGES: DataChanges = { set: new Map(), deleted: new Set() };

/**
 * The top-level keys by which what a caller wants differs from what it saw, both encoded. What they decode to is compared:
 * a codec that encrypts encodes the same value differently each time.
 *
 * Maps all the way: `target[key] = value` with the key `__proto__` would swap an object's prototype instead.
 */
export function changesBetween(codec: Codec, seen: string, wanted: string): DataChanges {
  const before = new Map(Object.entries(codec.decode(seen)));
  const after = new Map(Object.entries(codec.decode(wanted)));
  const isSame = (key: string, value: unknown): boolean =>
    before.has(key) && isDeepStrictEqual(before.get(key), value);
  return {
    set: new Map([...after].filter(([key, value]) => !isSame(key, value))),
    deleted: new Set([...before.keys()].filter((key) => !after.has(key))),
  };
}

export function isEmpty(changes: DataChanges): boolean {
  return changes.set.size === 0 && changes.deleted.size === 0;
}

/** What is stored with one caller's changes made to it. */
export function applyChanges(stored: object, changes: DataChanges): object {
  const kept = Object.entries(stored).filter(([key]) => !changes.deleted.has(key));
  // fromEntries defines properties, so that "__proto__" stays an ordinary key.
  return Object.fromEntries(new Map([...kept, ...changes.set]));
}
