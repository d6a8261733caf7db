import { isDeepStrictEqual } from "node:util";

/** What one caller changed: top-level keys with their new value, and those that it deleted. */
export interface DataChanges {
  readonly set: ReadonlyMap<string, unknown>;
  readonly deleted: ReadonlySet<string>;
}

/**
 * The top-level keys by which the data that a caller wants differ from those that it saw. Decoded data are compared, because a codec that
 * encrypts encodes the same value differently each time.
 *
 * Maps are used throughout: `target[key] = value` with the key `__proto__` would replace an object's prototype.
 */
export function changesBetween(seen: object, wanted: object): DataChanges {
  const before = new Map(Object.entries(seen));
  const after = new Map(Object.entries(wanted));
  return {
    set: new Map([...after].filter(([key, value]) => !before.has(key) || !isSame(before.get(key), value))),
    deleted: new Set([...before.keys()].filter((key) => !after.has(key))),
  };
}

/** Whether {@link changesBetween} would find none. It looks no further than the first. */
export function isSameData(seen: object, wanted: object): boolean {
  const [before, after] = [seen, wanted] as Readonly<Record<string, unknown>>[];
  const keys = Object.keys(after!);
  return (
    keys.length === Object.keys(before!).length &&
    keys.every((key) => Object.hasOwn(before!, key) && isSame(before![key], after![key]))
  );
}

/** Most values are equal strings or numbers, and `isDeepStrictEqual` takes much longer to see that. */
function isSame(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || (typeof a === "object" && typeof b === "object" && isDeepStrictEqual(a, b));
}

/** The stored data with one caller's changes made to them. */
export function applyChanges(stored: object, changes: DataChanges): object {
  const kept = Object.entries(stored).filter(([key]) => !changes.deleted.has(key));
  // fromEntries defines properties, so that "__proto__" stays an ordinary key.
  return Object.fromEntries(new Map([...kept, ...changes.set]));
}
