import type { Collection, Db, MongoClient } from "mongodb";
import { type Limit, limitOfCall, limitOfCommand } from "./deadline.ts";
import type { Stored } from "./document.ts";

/** `local` or `linearizable`; what they mean for sessions is at `MongoStoreOptions`. */
export type ReadConcernLevel = "local" | "linearizable";

/** The store's own view of the user's collection, over the same client. */
export interface Handle {
  readonly database: Db;
  readonly sessions: Collection<Stored>;
  readonly limits: { readonly call: Limit | undefined; readonly command: Limit | undefined };
}

/**
 * What the client, the database or the collection was given as defaults is not in force, but for `timeoutMS` and
 * `wtimeoutMS`: a promise can't hang on them.
 *
 * @throws TypeError when it is not the driver's `Collection`
 */
export function ownHandle(collection: Collection, readConcern: ReadConcernLevel): Handle {
  const database = databaseOf(collection);
  if (database === undefined) {
    throw new TypeError(
      'the collection must be a Collection of the package "mongodb", 6.9 or later, ' +
        'as client.db().collection("sessions") gives it',
    );
  }
  const { timeoutMS, writeConcern } = collection;
  const { wtimeoutMS } = writeConcern ?? {};
  const sessions = database.collection<Stored>(collection.collectionName, {
    ...(timeoutMS === undefined ? {} : { timeoutMS }),
    readPreference: "primary",
    readConcern: { level: readConcern },
    writeConcern: { w: "majority", journal: true, ...(wtimeoutMS === undefined ? {} : { wtimeoutMS }) },
    ...PLAIN,
  });
  const limits = { call: limitOfCall(timeoutMS), command: limitOfCommand(database.client.options) };
  return { database, sessions, limits };
}

/** A collection has had `db` since 6.20; before, it kept the client, which its types did not say. */
function databaseOf(
  collection: Partial<Collection> & { readonly client?: Pick<MongoClient, "db"> },
): Db | undefined {
  const { db, client, dbName, collectionName } = collection ?? {};
  if (typeof collectionName !== "string") return undefined;
  if (typeof db?.collection === "function") return db;
  return typeof client?.db === "function" && typeof dbName === "string" ? client.db(dbName) : undefined;
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
