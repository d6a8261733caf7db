/** Random numbers that a seed reproduces. Not for secrets. */
export interface Random {
  /** A whole number from 0 to `bound - 1`. */
  readonly below: (bound: number) => number;
  readonly pick: <Item>(items: readonly Item[]) => Item;
  readonly shuffled: <Item>(items: readonly Item[]) => Item[];
}

/** Returns the seed of this run: `TENURE_SEED` if it is set, to replay a failure. */
export function chooseSeed(): number {
  const given = process.env["TENURE_SEED"];
  if (given === undefined || given === "") return Math.trunc(Math.random() * 2 ** 31);
  if (!/^\d{1,10}$/.test(given)) throw new TypeError("TENURE_SEED must be the number that a failure printed");
  return Number(given);
}

/** Each `purpose` has its own numbers, so that other tests do not change them. */
export function randomFor(seed: number, purpose: string): Random {
  let state = hash(`${seed} ${purpose}`);
  const random: Random = {
    below(bound) {
      // mulberry32
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
    },
    pick(items) {
      const item = items[random.below(items.length)];
      if (item === undefined) throw new TypeError("nothing to pick from");
      return item;
    },
    shuffled(items) {
      const rest = [...items];
      return items.map(() => rest.splice(random.below(rest.length), 1)[0]!);
    },
  };
  return random;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
