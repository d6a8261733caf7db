/** Ids that were met lately. */
export interface RecentIds {
  add(id: string): void;
  has(id: string): boolean;
}

/**
 * Keeps 53 bits of each id in one array: an id is added at every page view, and strings kept in a set would outlive the
 * collector's youngest generation each time. That two ids share their bits is as likely as guessing one of 2^53.
 *
 * @param limit how many ids it holds, a power of two. A new one takes the place of that of a few which was met longest ago
 */
export function recentIds(limit: number): RecentIds {
  const bits = new Float64Array(limit);
  const places = limit / SHARING;

  return {
    add(id) {
      const key = keyOf(id);
      const from = (key % places) * SHARING;
      if (bits[from] === key) return;
      const until = Math.min(find(from, key), from + SHARING - 1);
      bits.copyWithin(from + 1, from, until);
      bits[from] = key;
    },
    has(id) {
      const key = keyOf(id);
      const from = (key % places) * SHARING;
      return find(from, key) < from + SHARING;
    },
  };

  /** Where it is, or the end of those that share the place. */
  function find(from: number, key: number): number {
    let at = from;
    while (at < from + SHARING && bits[at] !== key) at += 1;
    return at;
  }
}

/** Ids that share a place. With 65,536 in all, those met last are there but for one in a hundred among 30,000. */
const SHARING = 8;

/** 53 bits, never 0: two FNV-1a hashes of the halves of an id, which is a digest, or as good as one. */
function keyOf(id: string): number {
  const half = id.length >> 1;
  return fnv(id, 0, half) * 2 ** 21 + (fnv(id, half, id.length) >>> 11) + 1;
}

function fnv(text: string, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < to; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
