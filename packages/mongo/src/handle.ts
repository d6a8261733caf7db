import { withDeadline } from "@tenure/core/store";
import type { Collection, Db, MongoClient } from "mongodb";
import type { Stored } from "./document.ts";
import { NoReply } from "./failure.ts";

/**
 * The driver's `Collection`, of documents of any type. Structural, because the class would exclude
 * collections of another driver version, such as that of mongoose.
 */
export interface MongoCollection {
  readonly dbName: string;
  readonly collectionName: string;
  readonly namespace: string;
}

/** The values of the option `readConcern`, which describes them. */
export type ReadConcernLevel = "local" | "linearizable";

/** The store's own handle on the application's collection, over the same client. */
export interface Handle {
  readonly database: Db;
  readonly sessions: Collection<Stored>;
  /** Limits a call, including its wait for other calls and all its commands. */
  readonly limitCall: Limit;
  readonly limitCommand: Limit;
}

/** Rejects with a `Fault` when the work exceeds the client's time limit, if it has one. */
export type Limit = <Result>(work: Promise<Result>) => Promise<Result>;

/**
 * Returns a handle that keeps only the collection's time limits: no promise may depend on other defaults of
 * the client, the database or the collection.
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
  // Drivers in which `timeoutMS` has no effect (6.22 and 7.9) do not report it on a collection.
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

/** Collections have `db` from 6.20 on. Earlier ones have the client, which their types omit. */
function databaseOf(
  collection: Partial<Collection> & { readonly client?: Pick<MongoClient, "db"> },
): Db | undefined {
  const { db, client, dbName, collectionName } = collection ?? {};
  if (typeof collectionName !== "string") return undefined;
  if (typeof db?.collection === "function") return db;
  return typeof client?.db === "function" && typeof dbName === "string" ? client.db(dbName) : undefined;
}

/**
 * Returns how long a command may take within the client's limits, twice, because the driver may retry once.
 * The driver (6.9 to 7.9) can exceed them: it waits for ever for the `drain` of a socket that it has closed.
 * `undefined` if the client has no `socketTimeoutMS`.
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

/** Converts BSON to and from plain JavaScript values, like a driver without options. */
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
