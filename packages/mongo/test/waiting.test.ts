import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { server } from "@tenure/servers";
import type { Collection, MongoClient } from "mongodb";
import { expect, test, type TestContext } from "vitest";
import { type MongoStore, mongoStore } from "../src/index.ts";
import { connect, freshCollection, skipLoudly } from "./clients.ts";

/**
 * Milliseconds that a session lives: longer than the machine needs to begin what holds it and what waits, and shorter than it is held.
 * They double where the machine needed longer.
 */
const IDLE = 500;

/** Several rounds where it is the server's choice which of the calls that wait goes first. */
const holders = {
  "a transaction": {
    on: await server("mongo-transactions"),
    hold: inTransaction,
    rounds: 2,
    concurrent: true,
  },
  // FerretDB 2.7 keeps the locks of a bulk write to its end, one at a time for long enough; a mongod holds nobody up by one.
  "a long bulk write": { on: await server("mongo"), hold: inBulk, rounds: 1, concurrent: false },
};

/** How a session is ended: nothing may bring it back. */
const ends: Record<string, (store: MongoStore, id: string, userId: string) => Promise<unknown>> = {
  revoke: (store, id) => store.revoke(id),
  revokeUser: (store, _, userId) => store.revokeUser(userId),
};

for (const [holder, { on, hold, rounds, concurrent }] of Object.entries(holders)) {
  on.describe(`An update that waits past a session's end for ${holder}`, { concurrent }, () => {
    test.for(Object.entries(ends))("revives nothing that %s ended", async ([, end], context) => {
      for (let round = 0; round < rounds; round += 1) {
        const { store, id, userId, updating, release } = await expiredWhileUpdating(context);
        const ending = end(store, id, userId);
        await sleep(50);
        await release();
        await Promise.all([updating, ending]);
        expect(await store.read(id)).toBeNull();
      }
    });
  });

  /** A session that is held, an update of it that waits, and the session's end: until `release` nobody was told of it. */
  async function expiredWhileUpdating(context: TestContext) {
    const client = connect(on.url);
    const collection = await freshCollection(client);
    const store = mongoStore(collection);
    await store.read("the first call looks at the indexes");
    let idle = IDLE;
    // How soon it is held, and how long, is the machine's choice: what did not wait shows nothing.
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const [id, userId] = [randomUUID(), randomUUID()];
      expect(await store.create({ id, userId, data: "", idle, lifetime: 600_000 })).toBe("created");
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
    return skipLoudly(context, `on ${on.how} ${holder} makes nobody wait`);
  }
}

/** Whoever wants to write the document now waits until `release`. */
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

/** Begun, and seen to hold: a write of the document does not come back. Null: it is over, and has held nobody up. */
async function inBulk(
  _: MongoClient,
  collection: Collection,
  id: string,
): Promise<(() => Promise<void>) | null> {
  const write = { filter: { _id: id as never }, update: { $set: { held: true } } };
  // FerretDB takes 25,000 at once. To insert takes it longer than to find nothing.
  const rest = Array.from({ length: 24_000 }, (__, i) => ({
    updateOne: { filter: { _id: `${id} ${i}` as never }, update: { $set: { i } }, upsert: true },
  }));
  const bulk = collection.bulkWrite([{ updateOne: write }, ...rest]);
  const held: Promise<unknown>[] = [bulk];
  for (;;) {
    const writing = collection.updateOne(write.filter, write.update);
    held.push(writing);
    const wrote = writing.then(() => "wrote");
    const over = bulk.then(() => "over");
    // On a busy machine a write that nothing holds up may take a while, too.
    const seen = await Promise.race([over, wrote, sleep(IDLE / 4, "held")]);
    if (seen === "held") break;
    if (seen === "over") {
      await Promise.all(held);
      return null;
    }
  }
  return async () => void (await Promise.all(held));
}
