import type { SessionRecord, SessionStore } from "@tenure/core";

/** Wraps a store so that each call waits before and after it takes effect, for random times from the seed. */
export function interleaved(store: SessionStore, seed: number): SessionStore {
  const random = mulberry32(seed);
  const wait = (): Promise<void> => turns(Math.floor(random() * 8));
  const slowly = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    await wait();
    const result = await call();
    await wait();
    return result;
  };
  return {
    create: (session) => slowly(() => store.create(session)),
    read: (id) => slowly(() => store.read(id)),
    update: (id, changes) => slowly(() => store.update(id, changes)),
    revoke: (id) => slowly(() => store.revoke(id)),
    revokeUser: (userId, options) => slowly(() => store.revokeUser(userId, options)),
    // As in the stores of a server, not one snapshot: it reads pages, and each session at a different time.
    listUser: async (userId) => {
      const found = new Map<string, SessionRecord | null>();
      const pages = random() < 0.5 ? 1 : 2;
      for (let page = 1; page <= pages; page += 1) {
        const listed = await slowly(() => store.listUser(userId));
        const unseen = listed.filter(({ id }) => !found.has(id));
        await Promise.all(unseen.map(async ({ id }) => found.set(id, await slowly(() => store.read(id)))));
      }
      return [...found.values()]
        .filter((record) => record !== null)
        .filter((record) => record.userId === userId)
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },
    scan: () => store.scan(),
    now: () => slowly(() => store.now()),
  };
}

/** Waits for `count` turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A small seeded generator of random numbers (Tommy Ettinger's mulberry32, public domain). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The seeds to run. `TENURE_SEED=7` replays one. */
export const seeds: readonly number[] = process.env.TENURE_SEED
  ? [Number(process.env.TENURE_SEED)]
  : Array.from({ length: 200 }, (_, seed) => seed);
