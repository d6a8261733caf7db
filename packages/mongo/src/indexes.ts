import { setTimeout as sleep } from "node:timers/promises";
import type { Collection, Document, IndexDescription } from "mongodb";
import type { Stored } from "./document.ts";
import { isMadeByOthers, isNamespaceMissing } from "./failure.ts";
import { type MongoCollection, ownHandle } from "./handle.ts";

/** Sessions by user, paged by id. Anonymous and revoked sessions are not in it. */
const BY_USER = {
  name: "tenure_user",
  key: { userId: 1, _id: 1 },
  partialFilterExpression: { userId: { $exists: true } },
} as const satisfies IndexDescription;

/** Deletes documents that are not needed any more. A touch does not write `endsAt`, so it does not write this index. */
const CLEANING = {
  name: "tenure_cleaning",
  key: { endsAt: 1 },
  expireAfterSeconds: 0,
} as const satisfies IndexDescription;

const INDEXES = [BY_USER, CLEANING] as const;

/**
 * Creates the store's two indexes if they are missing, and the collection with them. It can run at every start of every
 * instance.
 *
 * @throws Error if another index is in the way, which the message names, or if the collection has a collation of its own.
 *   Nothing is changed then
 * @throws MongoError the driver's own, if the server failed or refused
 */
export async function ensureIndexes(collection: MongoCollection): Promise<void> {
  const { sessions } = ownHandle(collection, "local");
  for (let attempt = 1; ; attempt += 1) {
    const present = await listIndexes(sessions);
    assertSimpleCollation(sessions, present);
    const missing = INDEXES.filter((wanted) => !isThere(sessions, wanted, present));
    if (missing.length === 0) return;
    try {
      await sessions.createIndexes([...missing]);
      return;
    } catch (error) {
      // Another instance creates them at this moment, or has just done so.
      if (attempt === ATTEMPTS || !isMadeByOthers(error)) throw error;
      await sleep(PAUSE);
    }
  }
}

const ATTEMPTS = 5;

/** Milliseconds. */
const PAUSE = 100;

/** A warning for each missing index, with the command that creates it. */
export async function findMissingIndexes(collection: Collection<Stored>): Promise<string[]> {
  const present = await listIndexes(collection);
  assertSimpleCollation(collection, present);
  return INDEXES.filter((wanted) => !present.some((index) => serves(index, wanted))).map((wanted) => {
    const { key, name, ...rest } = wanted;
    const what =
      wanted === BY_USER ? "revokeUser and listUser read every session" : "nothing deletes dead sessions";
    const options = JSON.stringify({ name, ...rest });
    return (
      `${collection.namespace} has no index on ${JSON.stringify(key)}, so ${what}: ` +
      `call ensureIndexes(collection), or db.${collection.collectionName}.createIndex(${JSON.stringify(key)}, ${options})`
    );
  });
}

async function listIndexes(collection: Collection<Stored>): Promise<Document[]> {
  try {
    return await collection.listIndexes().toArray();
  } catch (error) {
    if (isNamespaceMissing(error)) return [];
    throw error;
  }
}

/**
 * The index of `_id` always has the collection's collation. Under one that ignores case, two ids would be one, and a lookup
 * with another collation would read every session.
 */
function assertSimpleCollation(collection: Collection<Stored>, present: readonly Document[]): void {
  const collation: unknown = present.find(({ name }) => name === "_id_")?.["collation"];
  if (collation === undefined) return;
  throw new Error(
    `${collection.namespace} has a collation of its own (${JSON.stringify(collation)}), in which different ids ` +
      "can be equal: give sessions a collection without one",
  );
}

function isThere(
  collection: Collection<Stored>,
  wanted: (typeof INDEXES)[number],
  present: readonly Document[],
): boolean {
  const related = present.filter((index) => index["name"] === wanted.name || sameKey(index, wanted));
  if (related.some((index) => serves(index, wanted))) return true;
  const [obstacle] = related;
  if (obstacle === undefined) return false;
  const { v: _, ...is } = obstacle;
  throw new Error(
    `the index ${String(obstacle["name"])} of ${collection.namespace} is ${JSON.stringify(is)} and must be ` +
      `${JSON.stringify(wanted)}: drop it, or give sessions a collection of their own. Nothing was changed`,
  );
}

/** The same index, whatever its name. */
function serves(index: Document, wanted: Document): boolean {
  return (
    sameKey(index, wanted) &&
    VALUES.every((option) => same(index[option], wanted[option])) &&
    FLAGS.every((option) => !index[option])
  );
}

/** The options of an index that decide what it holds, finds and refuses. Those in `FLAGS` must be absent or `false`. */
const VALUES = ["partialFilterExpression", "expireAfterSeconds", "collation"];
const FLAGS = ["unique", "sparse", "hidden"];

function sameKey(index: Document, wanted: Document): boolean {
  return same(index["key"], wanted.key);
}

/** Compares plain objects, and numbers that a client may have wrapped. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
