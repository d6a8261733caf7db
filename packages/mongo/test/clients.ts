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

/** Opens a client that is closed after the tests of the file. */
type Connect = (url: string, options?: MongoClientOptions) => MongoClient;

/** Uses version 7 of the driver. */
export const connect: Connect = connectWith(MongoClient);
/** Uses version 6 of the driver, which the store also supports. */
export const connect6: Connect = connectWith(MongoClient6);
/** Uses the oldest supported version, in which a collection has no `db`. */
export const connect69: Connect = connectWith(MongoClient69);
/** Uses the oldest version 7, in which `timeoutMS` has an effect; 7.9 ignores it. */
export const connect70: Connect = connectWith(MongoClient70);

function connectWith(Client: new (url: string, options: object) => object): Connect {
  return (url, options) => {
    const client = new Client(url, { ...PATIENT, ...options }) as MongoClient;
    clients.push(client);
    return client;
  };
}

/** Returns a new collection with the indexes. On a mongos, it is sharded as the README says. */
export async function newCollection(client: MongoClient): Promise<Collection> {
  const collection = client.db("tenure_test").collection(`sessions_${randomUUID()}`);
  await ensureIndexes(collection);
  if (await isMongos(client)) {
    const sharding = { shardCollection: collection.namespace, key: { _id: "hashed" } };
    await client.db("admin").command(sharding);
  }
  return collection;
}

export async function isMongos(client: MongoClient): Promise<boolean> {
  const { msg } = await client.db("admin").command({ hello: 1 });
  return msg === "isdbgrid";
}

/**
 * Returns the address of the primary alone, because a proxy forwards to one server and an address may name
 * several.
 */
export async function addressOfPrimary(url: string): Promise<string> {
  const [, login = "", seeds = "", rest = ""] = /^mongodb:\/\/(.*@)?([^/?]*)(.*)$/.exec(url) ?? [];
  const client = connect(url);
  // A server with a direct connection may report another address than the one that the client uses.
  const primary = client.options.directConnection
    ? undefined
    : (await client.db("admin").command({ hello: 1 }))["primary"];
  return `mongodb://${login}${primary ?? seeds.split(",")[0]}${rest}`;
}

export async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Whether the server supports a command, even if this call of it fails. */
export async function supportsCommand(url: string, command: Document): Promise<boolean> {
  const error = await errorOf(connect(url).db("admin").command(command));
  return !(error instanceof MongoServerError && error.code === 59);
}

/** Skips a test and prints why, which vitest does not report. */
export function skipLoudly({ skip, task }: TestContext, why: string): never {
  console.error(`!! mongo: SKIPPED "${task.name}": ${why}`);
  return skip(why);
}

/** Returns the commands that `work` sent. Requires the client's option `monitorCommands`. */
export async function recordCommands(client: MongoClient, work: () => Promise<unknown>): Promise<Document[]> {
  const sent: Document[] = [];
  const onCommand = ({ command }: CommandStartedEvent): void => void sent.push(command);
  client.on("commandStarted", onCommand);
  await work();
  client.off("commandStarted", onCommand);
  return sent;
}

/** Defaults that the store must not depend on: two sets, because the int64 options exclude each other. */
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
export const OTHER_HOSTILE: MongoClientOptions = {
  readPreference: "secondary",
  w: 1,
  retryWrites: false,
  useBigInt64: true,
  raw: true,
  promoteBuffers: true,
};

/** At the default heartbeat, the driver's monitor can stop for good after a kill -9 (on FerretDB 2.7). */
const PATIENT: MongoClientOptions = { heartbeatFrequencyMS: 500, serverSelectionTimeoutMS: 20_000 };
