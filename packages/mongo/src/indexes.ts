import { setTimeout as sleep } from "node:timers/promises";
import { warnOnce } from "@tenure/core/store";
import type { Collection, Document, IndexDescription } from "mongodb";
import type { Stored } from "./document.ts";
import { isMadeByOthers, isNamespaceMissing, isUnauthorized } from "./failure.ts";
import { type MongoCollection, ownHandle } from "./handle.ts";

/** Sessions by user. Anonymous and revoked sessions are not in it. */
const BY_USER: IndexDescription = {
  name: "tenure_user",
  key: { userId: 1, _id: 1 },
  partialFilterExpression: { userId: { $exists: true } },
};

/** Deletes documents that are no longer needed. No touch writes `endsAt`, so no touch writes this index. */
const CLEANING: IndexDescription = {
  name: "tenure_cleaning",
  key: { endsAt: 1 },
  expireAfterSeconds: 0,
};

const INDEXES = [BY_USER, CLEANING];

/**
 * Creates the store's two indexes, and the collection, if they are missing. It may run at every start of
 * every instance.
 *
 * @throws Error if another index, which the message names, is in the way, or if the collection has a
 *   collation. Nothing is changed then
 * @throws MongoError of the driver, if the server failed or refused
 */
export async function ensureIndexes(collection: MongoCollection): Promise<void> {
  const { sessions } = ownHandle(collection, "local");
  for (let attempt = 1; ; attempt += 1) {
    const present = await indexesOf(sessions);
    const missing = INDEXES.filter((wanted) => !present.some((index) => serves(index, wanted)));
    if (missing.length === 0) return;
    for (const wanted of missing) assertNotInTheWay(sessions, wanted, present);
    try {
      await sessions.createIndexes(missing);
      return;
    } catch (error) {
      // Another instance is creating them, or has just created them.
      if (attempt === MAX_ATTEMPTS || !isMadeByOthers(error)) throw error;
      await sleep(100);
    }
  }
}

const MAX_ATTEMPTS = 5;

/**
 * Warns of each missing index, with the command that creates it.
 *
 * @throws Error if the collection has a collation; also what the driver threw
 */
export async function warnOfMissingIndexes(sessions: Collection<Stored>): Promise<void> {
  const { namespace, collectionName } = sessions;
  let present: Document[];
  try {
    present = await indexesOf(sessions);
  } catch (error) {
    if (!isUnauthorized(error)) throw error;
    warn(
      `${namespace}: the client's user may not list the indexes, so a missing index, or a collation under which ` +
        "different ids are equal, stays undetected: grant it the action listIndexes",
    );
    return;
  }
  for (const wanted of INDEXES) {
    if (present.some((index) => serves(index, wanted))) continue;
    const what =
      wanted === BY_USER ? "revokeUser and listUser read every session" : "nothing deletes dead sessions";
    const { key, ...options } = wanted;
    const command = `createIndex(${JSON.stringify(key)}, ${JSON.stringify(options)})`;
    warn(
      `${namespace} has no index on ${JSON.stringify(key)}, so ${what}: ` +
        `call ensureIndexes(collection), or db.${collectionName}.${command}`,
    );
  }
}

/** Once per process, however many stores are made: a reload of changed modules makes another. */
function warn(message: string): void {
  warnOnce("TENURE_MONGO_INDEX", message, message);
}

/**
 * Lists the indexes. A collation of the collection applies to the index of `_id`: if it ignored case, two ids
 * would be equal, and a lookup with another collation would read every session.
 *
 * @throws Error if there is a collation
 */
async function indexesOf(collection: Collection<Stored>): Promise<Document[]> {
  let present: Document[];
  try {
    present = await collection.listIndexes().toArray();
  } catch (error) {
    if (isNamespaceMissing(error)) return [];
    throw error;
  }
  const collation: unknown = present.find(({ name }) => name === "_id_")?.["collation"];
  if (collation === undefined) return present;
  throw new Error(
    `${collection.namespace} has a collation of its own (${JSON.stringify(collation)}), under which different ids ` +
      "can be equal: give sessions a collection without one",
  );
}

function assertNotInTheWay(
  { namespace }: Collection<Stored>,
  wanted: IndexDescription,
  present: readonly Document[],
): void {
  const obstacle = present.find(({ name, key }) => name === wanted.name || same(key, wanted.key));
  if (obstacle === undefined) return;
  const { v: _, ...is } = obstacle;
  throw new Error(
    `the index ${String(obstacle["name"])} of ${namespace} is ${JSON.stringify(is)} and must be ` +
      `${JSON.stringify(wanted)}: drop it, or give sessions their own collection. Nothing was changed`,
  );
}

/** Whether an index works like the wanted one, whatever its name. */
function serves(index: Document, wanted: IndexDescription): boolean {
  return (
    same(index["key"], wanted.key) &&
    same(index["partialFilterExpression"], wanted.partialFilterExpression) &&
    same(index["expireAfterSeconds"], wanted.expireAfterSeconds) &&
    !["collation", "unique", "sparse", "hidden"].some((option) => index[option])
  );
}

/** Compares plain objects, and numbers that a client may have wrapped. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
