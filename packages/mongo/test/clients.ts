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

/** Closed when the test file ends. */
const clients: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(clients.map((client) => client.close())));

/** A client of the driver's version 7. */
export function connect(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient(url, { ...PATIENT, ...options });
  clients.push(client);
  return client;
}

/** A client of the driver's version 6, which the store is to take as it takes one of version 7. */
export function connect6(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient6(url, { ...PATIENT, ...options } as object) as unknown as MongoClient;
  clients.push(client);
  return client;
}

/** A client of the oldest version that the store takes: a collection has no `db` there yet. */
export function connect69(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient69(url, { ...PATIENT, ...options } as object) as unknown as MongoClient;
  clients.push(client);
  return client;
}

/** A client of the oldest version 7, in which `timeoutMS` has an effect; 7.9 ignores it. */
export function connect70(url: string, options: MongoClientOptions = {}): MongoClient {
  const client = new MongoClient70(url, { ...PATIENT, ...options } as object) as unknown as MongoClient;
  clients.push(client);
  return client;
}

/** A collection of the test's own, ready for sessions. */
export async function freshCollection(client: MongoClient): Promise<Collection> {
  const collection = client.db("tenure_test").collection(`sessions_${randomUUID()}`);
  await prepare(client, collection);
  return collection;
}

/** Makes the indexes and, where the server is a mongos, shards the collection as the README says. */
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

/** The address of the one server that takes writes: a proxy stands before one, and an address can name several. */
export async function addressOfPrimary(url: string): Promise<string> {
  const [, login = "", seeds = "", rest = ""] = /^mongodb:\/\/(.*@)?([^/?]*)(.*)$/.exec(url) ?? [];
  const client = connect(url);
  // Whoever asks for a direct connection may know the server by another address than itself.
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

/** Whether the server has a command, whatever it says to this one. */
export async function knows(url: string, command: Document): Promise<boolean> {
  const error = await errorOf(connect(url).db("admin").command(command));
  return !(error instanceof MongoServerError && error.code === 59);
}

/** vitest says how many tests are skipped, and not why. */
export function skipLoudly({ skip, task }: TestContext, why: string): never {
  console.error(`!! mongo: SKIPPED "${task.name}": ${why}`);
  return skip(why);
}

/** The commands that the calls of `work` sent. The client has the option `monitorCommands`. */
export async function record(client: MongoClient, work: () => Promise<unknown>): Promise<Document[]> {
  const sent: Document[] = [];
  const hear = ({ command }: CommandStartedEvent): void => void sent.push(command);
  client.on("commandStarted", hear);
  await work();
  client.off("commandStarted", hear);
  return sent;
}

/** Defaults that a store must not depend on. The two of int64 exclude each other. */
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

/** After a kill -9 the driver's monitor can stop for good at its default heartbeat (on FerretDB 2.7). */
const PATIENT: MongoClientOptions = { heartbeatFrequencyMS: 500, serverSelectionTimeoutMS: 20_000 };
