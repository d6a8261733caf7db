import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { server } from "@tenure/servers";
import type { Collection, MongoClient } from "mongodb";
import { expect, test, type TestContext } from "vitest";
import { type MongoStore, mongoStore } from "../src/index.ts";
import { connect, newCollection, skipLoudly } from "./clients.ts";
import { createSession } from "./sessions.ts";

/**
 * The idle timeout in milliseconds: longer than the lock and the waiting update take to begin, and shorter
 * than the lock is held. It is doubled if the machine needs longer.
 */
const IDLE = 500;

/** What holds a lock. There are several rounds if the server chooses which waiting call goes first. */
const holders = {
  "a transaction": {
    on: await server("mongo-transactions"),
    hold: inTransaction,
    rounds: 2,
    concurrent: true,
  },
  // FerretDB 2.7 keeps the locks of a bulk write until its end, and a bulk write that runs alone lasts long
  // enough. On a mongod, a bulk write delays no other write.
  "a long bulk write": { on: await server("mongo"), hold: inBulk, rounds: 1, concurrent: false },
};

/** The ways to end a session, after which nothing may revive it. */
const ends: Record<string, (store: MongoStore, id: string, userId: string) => Promise<unknown>> = {
  revoke: (store, id) => store.revoke(id),
  revokeUser: (store, _, userId) => store.revokeUser(userId),
};

for (const [holder, { on, hold, rounds, concurrent }] of Object.entries(holders)) {
  on.describe(
    `An update that waits for ${holder} until after the session has expired`,
    { concurrent },
    () => {
      test.for(Object.entries(ends))("does not revive a session that %s ended", async ([, end], context) => {
        for (let round = 0; round < rounds; round += 1) {
          const { store, id, userId, updating, release } = await expiredWhileUpdating(context);
          const ending = end(store, id, userId);
          await sleep(50);
          await release();
          await Promise.all([updating, ending]);
          expect(await store.read(id)).toBeNull();
        }
      });
    },
  );

  /** Returns a locked session that has expired while an update of it waits for `release`. */
  async function expiredWhileUpdating(context: TestContext) {
    const client = connect(on.url);
    const collection = await newCollection(client);
    const store = mongoStore(collection);
    await store.read("the first call lists the indexes");
    let idle = IDLE;
    // How soon the lock is held, and for how long, depends on the machine. An attempt in which the update did
    // not wait proves nothing.
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const userId = randomUUID();
      const id = await createSession(store, { userId, idle, lifetime: 600_000 });
      const expiresAt = (await store.now()) + idle;
      const release = await hold(client, collection, id);
      if (release !== null && (await store.now()) < expiresAt) {
        let waits = true;
        const updating = store.update(id, { idle: 60_000 }).finally(() => (waits = false));
        while ((await store.now()) <= expiresAt) await sleep(20);
        if (waits) return { store, id, userId, updating, release };
        await updating;
      } else if (release !== null) idle *= 2;
      await release?.();
    }
    return skipLoudly(context, `on ${on.how}, ${holder} does not make an update wait`);
  }
}

/** Locks the document: other writes of it wait for the returned function. */
async function inTransaction(
  client: MongoClient,
  collection: Collection,
  id: string,
): Promise<() => Promise<void>> {
  const session = client.startSession();
  session.startTransaction({ writeConcern: { w: "majority" } });
  await collection.updateOne({ _id: id as never }, { $set: { held: true } }, { session });
  return async () => {
    await session.abortTransaction();
    await session.endSession();
  };
}

/** Resolves once the bulk write delays a write of the document, or to null if it never delays one. */
async function inBulk(
  _: MongoClient,
  collection: Collection,
  id: string,
): Promise<(() => Promise<void>) | null> {
  const write = { filter: { _id: id as never }, update: { $set: { held: true } } };
  // FerretDB accepts 25,000 writes at once. Upserts take it longer than updates that match nothing.
  const others = Array.from({ length: 24_000 }, (__, i) => ({
    updateOne: { filter: { _id: `${id} ${i}` as never }, update: { $set: { i } }, upsert: true },
  }));
  const bulk = collection.bulkWrite([{ updateOne: write }, ...others]);
  const pending: Promise<unknown>[] = [bulk];
  for (;;) {
    const writing = collection.updateOne(write.filter, write.update);
    pending.push(writing);
    const wrote = writing.then(() => "wrote");
    const over = bulk.then(() => "over");
    // On a busy machine, a write may be slow without being delayed by the bulk write.
    const seen = await Promise.race([over, wrote, sleep(IDLE / 4, "held")]);
    if (seen === "held") break;
    if (seen === "over") {
      await Promise.all(pending);
      return null;
    }
  }
  return async () => void (await Promise.all(pending));
}
