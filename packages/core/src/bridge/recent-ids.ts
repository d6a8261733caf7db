/** Ids that were met lately. */
export interface RecentIds {
  add(id: string): void;
  has(id: string): boolean;
}

/**
 * Keeps 53 bits of each id in one array: an id is added at every page view, and strings kept in a set would outlive the
 * collector's youngest generation each time. That two ids share their bits is as likely as guessing one of 2^53.
 *
 * @param limit how many ids it holds, a power of two. A new one takes the place of the oldest of a few that share a place
 */
export function recentIds(limit: number): RecentIds {
  const bits = new Float64Array(limit);
  const places = limit / SHARING;

  return {
    add(id) {
      const key = keyOf(id);
      const from = (key % places) * SHARING;
      if (find(from, key)) return;
      bits.copyWithin(from + 1, from, from + SHARING - 1);
      bits[from] = key;
    },
    has(id) {
      const key = keyOf(id);
      return find((key % places) * SHARING, key);
    },
  };

  function find(from: number, key: number): boolean {
    for (let at = from; at < from + SHARING; at += 1) if (bits[at] === key) return true;
    return false;
  }
}

/** Of 50,000 ids among 65,536, eight to a place, the latest 30,000 are there but for one in a hundred. */
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
