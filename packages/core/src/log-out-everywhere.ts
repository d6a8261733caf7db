import { MAX_ATTEMPTS } from "./attempts.ts";
import { StoreError } from "./errors.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

/**
 * Ends a user's sessions, but for one, and answers how many. It looks again afterwards: a rotation under way may have put a
 * successor where the store had looked before. A successor keeps the creation of the session that it continues, which tells
 * it from a login that came after this call.
 *
 * It looks until some looks in a row show nothing, as each may miss a session that is rotated meanwhile once more. Whoever
 * rotates in a loop thus has to fall into every one of them.
 */
export async function endAllOf(
  store: SessionStore,
  userId: string,
  except: string | undefined,
): Promise<number> {
  // The clocks of a backend's nodes differ: what is there already may say that it was created later than now.
  const [now, before] = await Promise.all([store.now(), store.listUser(userId)]);
  const startedAt = latest(before, now);
  const isOver = async (): Promise<boolean> => {
    const left = await store.listUser(userId);
    return !left.some(({ id, createdAt }) => id !== except && createdAt <= startedAt);
  };
  let count = 0;
  for (let pass = 1; pass <= MAX_ATTEMPTS; pass += 1) {
    count += await store.revokeUser(userId, except === undefined ? {} : { except });
    let looks = 0;
    while (looks < LOOKS && (await isOver())) looks += 1;
    if (looks === LOOKS) return count;
  }
  throw new StoreError("revokeUser", "this user's sessions keep being rotated: call it again");
}

const LOOKS = 3;

/**
 * Ends everyone's sessions, and answers how many. The first pass ends all that it finds; later ones what continues
 * it, of which a scan may have missed what was rotated meanwhile.
 *
 * @param end answers whether the session was alive
 */
export async function endEveryone(
  store: SessionStore,
  end: (session: SessionRecord) => Promise<boolean>,
): Promise<number> {
  let startedAt = await store.now();
  let count = 0;
  for (let pass = 1; pass <= MAX_ATTEMPTS; pass += 1) {
    let found = 0;
    for await (const batch of batches(store.scan(), 100)) {
      if (pass === 1) startedAt = latest(batch, startedAt);
      const ending = batch.filter(({ createdAt }) => createdAt <= startedAt);
      const ended = await Promise.all(ending.map(end));
      found += ending.length;
      count += ended.filter(Boolean).length;
    }
    if (found === 0 && pass > 1) return count;
  }
  throw new StoreError("scan", "sessions keep being rotated: call it again");
}

function latest(sessions: readonly SessionRecord[], instant: number): number {
  return sessions.reduce((later, { createdAt }) => Math.max(later, createdAt), instant);
}

async function* batches<Item>(items: AsyncIterable<Item>, size: number): AsyncIterable<Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
