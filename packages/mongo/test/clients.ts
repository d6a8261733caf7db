import { randomUUID } from "node:crypto";
import {
  type Collection,
  type CommandStartedEvent,
  type Document,
  MongoClient,
  type MongoClientOptions,
  MongoServerError,
} from "mongodb";
import { MongoClient as MongoClient6 } from "mongodb6";
import { MongoClient as MongoClient69 } from "mongodb69";
import { MongoClient as MongoClient70 } from "mongodb70";
import { afterAll, type TestContext } from "vitest";
import { ensureIndexes } from "../src/index.ts";

const clients: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(clients.map((client) => client.close())));

/** Returns a client of version 7 of the driver. */
export function connect(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient(url, { ...PATIENT, ...options });
  clients.push(client);
  return client;
}

/** Returns a client of version 6 of the driver, which the store also supports. */
export function connect6(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient6(url, { ...PATIENT, ...options } as object) as unknown as MongoClient;
  clients.push(client);
  return client;
}

/** Returns a client of the oldest supported version, in which a collection has no `db`. */
export function connect69(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient69(url, { ...PATIENT, ...options } as object) as unknown as MongoClient;
  clients.push(client);
  return client;
}

/** Returns a client of the oldest version 7, in which `timeoutMS` has an effect; 7.9 ignores it. */
export function connect70(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient70(url, { ...PATIENT, ...options } as object) as unknown as MongoClient;
  clients.push(client);
  return client;
}

/** Returns a new collection with the indexes. */
export async function freshCollection(client: MongoClient): Promise<Collection> {
  const collection = client.db("tenure_test").collection(`sessions_${randomUUID()}`);
  await prepare(client, collection);
  return collection;
}

/** Creates the indexes and, on a mongos, shards the collection as the README says. */
export async function prepare(client: MongoClient, collection: Collection): Promise<void> {
  await ensureIndexes(collection);
  if (!(await isMongos(client))) return;
  const sharding = { shardCollection: collection.namespace, key: { _id: "hashed" } };
  await client.db("admin").command(sharding);
}

export async function isMongos(client: MongoClient): Promise<boolean> {
  const { msg } = await client.db("admin").command({ hello: 1 });
  return msg === "isdbgrid";
}

/**
 * Returns the address of the server that takes writes: a proxy forwards to one server, and an address can
 * name several.
 */
export async function addressOfPrimary(url: string): Promise<string> {
  const [, login = "", seeds = "", rest = ""] = /^mongodb:\/\/(.*@)?([^/?]*)(.*)$/.exec(url) ?? [];
  const client = connect(url);
  // With a direct connection, the server may be known by another address than its own.
  const known = client.options.directConnection
    ? undefined
    : (await client.db("admin").command({ hello: 1 }))["primary"];
  return `mongodb://${login}${known ?? seeds.split(",")[0]}${rest}`;
}

export async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Whether the server knows a command, even if this call of it fails. */
export async function knows(url: string, command: Document): Promise<boolean> {
  const error = await errorOf(connect(url).db("admin").command(command));
  return !(error instanceof MongoServerError && error.code === 59);
}

/** Prints why a test is skipped, which vitest does not report. */
export function skipLoudly({ skip, task }: TestContext, why: string): never {
  console.error(`!! mongo: SKIPPED "${task.name}": ${why}`);
  return skip(why);
}

/** Returns the commands that `work` sent. The client needs the option `monitorCommands`. */
export async function record(client: MongoClient, work: () => Promise<unknown>): Promise<Document[]> {
  const sent: Document[] = [];
  const hear = ({ command }: CommandStartedEvent): void => void sent.push(command);
  client.on("commandStarted", hear);
  await work();
  client.off("commandStarted", hear);
  return sent;
}

/** Defaults that a store must not depend on. The two int64 options exclude each other. */
export const HOSTILE: MongoClientOptions = {
  readPreference: "secondaryPreferred",
  readConcernLevel: "available",
  w: 0,
  journal: false,
  retryWrites: false,
  retryReads: false,
  ignoreUndefined: true,
  promoteValues: false,
  serializeFunctions: true,
  bsonRegExp: true,
  enableUtf8Validation: false,
};
export const HOSTILE_TOO: MongoClientOptions = {
  readPreference: "secondary",
  w: 1,
  retryWrites: false,
  useBigInt64: true,
  raw: true,
  promoteBuffers: true,
};

/** At the default heartbeat, the driver's monitor can stop for good after a kill -9 (on FerretDB 2.7). */
const PATIENT: MongoClientOptions = { heartbeatFrequencyMS: 500, serverSelectionTimeoutMS: 20_000 };
