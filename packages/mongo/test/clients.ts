import { randomUUID } from "node:crypto";
import {
  type Collection,
  type CommandStartedEvent,
  type Document,
  MongoClient,
  type MongoClientOptions,
} from "mongodb";
import { MongoClient as MongoClient6 } from "mongodb6";
import { MongoClient as MongoClient69 } from "mongodb69";
import { MongoClient as MongoClient70 } from "mongodb70";
import { afterAll } from "vitest";
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

/** A collection of the test's own, with its indexes. */
export async function freshCollection(client: MongoClient): Promise<Collection> {
  const collection = client.db("tenure_test").collection(`sessions_${randomUUID()}`);
  await ensureIndexes(collection);
  return collection;
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
