/** A map that forgets what was set long ago. */
export interface BoundedMap<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  delete(key: string): void;
}

/**
 * Two generations: when the younger is full, the older goes. So nothing is moved at each use, and no entry is looked for.
 *
 * @param limit how many entries it holds at most; at least half as many of those that were set last are kept
 */
export function boundedMap<Value>(limit: number): BoundedMap<Value> {
  const half = Math.ceil(limit / 2);
  let younger = new Map<string, Value>();
  let older = new Map<string, Value>();
  return {
    get: (key) => younger.get(key) ?? older.get(key),
    set(key, value) {
      if (younger.size >= half && !younger.has(key)) {
        older = younger;
        younger = new Map();
      }
      younger.set(key, value);
    },
    delete(key) {
      younger.delete(key);
      older.delete(key);
    },
  };
}
