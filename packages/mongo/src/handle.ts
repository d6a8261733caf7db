import type { Collection } from "mongodb";
import type { Stored } from "./document.ts";

/** `local` or `linearizable`; what they mean for sessions is at `MongoStoreOptions`. */
export type ReadConcernLevel = "local" | "linearizable";

/**
 * The store's own handle on the user's collection, over the same client. What the client, the database or the collection was
 * given as defaults is not in force, but for `timeoutMS`: a promise can't hang on them.
 *
 * @throws TypeError when it is not the driver's `Collection`
 */
export function ownHandle(collection: Collection, readConcern: ReadConcernLevel): Collection<Stored> {
  if (typeof collection?.db?.collection !== "function" || typeof collection.collectionName !== "string") {
    throw new TypeError(
      'the collection must be a Collection of the package "mongodb", as client.db().collection("sessions") gives it',
    );
  }
  const { timeoutMS } = collection;
  return collection.db.collection<Stored>(collection.collectionName, {
    ...(timeoutMS === undefined ? {} : { timeoutMS }),
    readPreference: "primary",
    readConcern: { level: readConcern },
    writeConcern: { w: "majority", journal: true },
    ...PLAIN,
  });
}

/** BSON to and from plain JavaScript values, as the driver does it where nobody asked for anything else. */
export const PLAIN = {
  raw: false,
  fieldsAsRaw: {},
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  useBigInt64: false,
  bsonRegExp: false,
  ignoreUndefined: false,
  serializeFunctions: false,
  enableUtf8Validation: true,
} as const;
