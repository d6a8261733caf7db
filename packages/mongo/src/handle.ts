import { withDeadline } from "@tenure/core/store";
import type { Collection, Db, MongoClient } from "mongodb";
import type { Stored } from "./document.ts";
import { NoReply } from "./failure.ts";

/**
 * The driver's `Collection`, of documents of any type. A structure, because a class would refuse the `Collection` of another
 * version of the driver, such as the one that mongoose brings.
 */
export interface MongoCollection {
  readonly dbName: string;
  readonly collectionName: string;
  readonly namespace: string;
}

/** `local` or `linearizable`. What they mean for sessions is at `MongoStoreOptions`. */
export type ReadConcernLevel = "local" | "linearizable";

/** The store's own view of the user's collection, over the same client. */
export interface Handle {
  readonly database: Db;
  readonly sessions: Collection<Stored>;
  /** Of a call, with its wait for other calls and all its commands. */
  readonly limitCall: Limit;
  /** Of one command. */
  readonly limitCommand: Limit;
}

/** Rejects with a `Fault` what exceeds a time limit of the client's, if there is one. */
export type Limit = <Result>(work: Promise<Result>) => Promise<Result>;

/**
 * No promise may depend on a default of the client, the database or the collection. Only the time limits are kept.
 *
 * @throws TypeError if it is not the driver's `Collection`
 */
export function ownHandle(given: MongoCollection, readConcern: ReadConcernLevel): Handle {
  const collection = given as Collection;
  const database = databaseOf(collection);
  if (database === undefined) {
    throw new TypeError(
      'the collection must be a Collection of the package "mongodb", 6.9 or later, such as client.db().collection("sessions")',
    );
  }
  // Drivers in which `timeoutMS` has no effect (6.22 and 7.9) do not report it on a collection, so it has none here.
  const { timeoutMS, writeConcern } = collection;
  const { wtimeoutMS } = writeConcern ?? {};
  const sessions = database.collection<Stored>(collection.collectionName, {
    ...(timeoutMS === undefined ? {} : { timeoutMS }),
    readPreference: "primary",
    readConcern: { level: readConcern },
    writeConcern: { w: "majority", journal: true, ...(wtimeoutMS === undefined ? {} : { wtimeoutMS }) },
    ...PLAIN,
  });
  return {
    database,
    sessions,
    limitCall: limit("timeoutMS", timeoutMS),
    limitCommand: limit("limits", longestCommand(database)),
  };
}

/** A collection has `db` from 6.20 on. Earlier ones keep the client, which their types do not say. */
function databaseOf(
  collection: Partial<Collection> & { readonly client?: Pick<MongoClient, "db"> },
): Db | undefined {
  const { db, client, dbName, collectionName } = collection ?? {};
  if (typeof collectionName !== "string") return undefined;
  if (typeof db?.collection === "function") return db;
  return typeof client?.db === "function" && typeof dbName === "string" ? client.db(dbName) : undefined;
}

/**
 * The longest that a command takes within the client's limits, milliseconds: the driver starts them again if it tries a second time. The
 * driver (6.9 to 7.9) itself exceeds them: it waits for ever for the `drain` of a socket that it has closed. A client without
 * `socketTimeoutMS` has no such limit.
 */
function longestCommand({ client }: Partial<Db>): number | undefined {
  const { socketTimeoutMS, serverSelectionTimeoutMS, connectTimeoutMS, waitQueueTimeoutMS } =
    client?.options ?? {};
  if (!socketTimeoutMS) return undefined;
  const others = [serverSelectionTimeoutMS, connectTimeoutMS, waitQueueTimeoutMS];
  return 2 * others.reduce<number>((sum, each = 0) => sum + each, socketTimeoutMS);
}

function limit(name: string, ms: number | undefined): Limit {
  if (!ms || ms < 0) return (work) => work;
  return (work) =>
    withDeadline(work, ms, () => new NoReply(`no reply within the client's ${name} of ${ms} ms`));
}

/** BSON to and from plain JavaScript values, as in a driver without options. */
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
