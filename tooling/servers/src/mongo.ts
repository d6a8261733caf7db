import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { MongoClient } from "mongodb";
import { container } from "./container.ts";
import { imageCommand } from "./docker.ts";
import { localProcess } from "./local-process.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { runFolder } from "./run.ts";
import { wayTo } from "./way-to.ts";

export interface MongoOptions {
  /**
   * Only who logs in may do anything, and the address is that of root: a standalone mongod, since a replica set would need
   * a key file. An image that holds something else is run as it is.
   */
  readonly auth?: boolean;
}

/**
 * Starts a MongoDB of one's own. A mongod is a replica set of one; an image that holds something else is run as it is.
 * The address asks for a direct connection: a replica set of one names itself by an address inside its container.
 */
export async function startMongo({ auth = false }: MongoOptions = {}): Promise<OwnServer> {
  const way = await wayTo("mongo");
  const port = await freePort();
  const open = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  const guarded = open.replace("//", `//${ROOT.user}:${ROOT.password}@`);
  const rest = { port, stopSignal: "SIGTERM" } as const;

  if (way.by === "container") {
    const mongod = (await imageCommand(way.image))[0] === "mongod";
    const url = auth && mongod ? guarded : open;
    const machine = container({
      image: way.image,
      ...(mongod ? { command: ["mongod", "--bind_ip_all", ...(auth ? [] : REPLICA_SET)] } : {}),
      ...(auth && mongod
        ? {
            environment: { MONGO_INITDB_ROOT_USERNAME: ROOT.user, MONGO_INITDB_ROOT_PASSWORD: ROOT.password },
          }
        : {}),
      network: { from: port, to: 27017 },
    });
    const answers = mongod && !auth ? () => primary(url, 27017) : () => describeMongo(url);
    return startOwnServer({ machine, how: `container ${way.image}`, url, answers, ...rest });
  }

  const folder = join(runFolder(), `mongo-${port}`);
  mkdirSync(folder);
  const settings = auth ? ["--auth"] : REPLICA_SET;
  const machine = localProcess({
    command: way.command,
    args: ["--port", String(port), "--bind_ip", "127.0.0.1", "--dbpath", folder, ...settings],
    log: join(folder, "log"),
    abandon: "SIGKILL",
  });
  return startOwnServer({
    machine,
    how: `${way.command} on PATH`,
    url: auth ? guarded : open,
    answers: () => (auth ? root(open, guarded) : primary(open, port)),
    ...rest,
  });
}

/** What a MongoDB says it is (`buildInfo`) and stands as (`hello`): `MongoDB 8.0.13, replica set rs0`. */
export async function describeMongo(url: string): Promise<string> {
  return withMongo(url, async (client) => {
    const admin = client.db("admin");
    const build = await admin.command({ buildInfo: 1 });
    const hello = await admin.command({ hello: 1 });
    const ferret = typeof build["ferretdb"] === "object" ? build["ferretdb"]?.version : undefined;
    const name =
      ferret === undefined ? `MongoDB ${build["version"]}` : `FerretDB ${ferret} as ${build["version"]}`;
    const sharded = hello["msg"] === "isdbgrid";
    const set = hello["setName"] === undefined ? "standalone" : `replica set ${hello["setName"]}`;
    return `${name}, ${sharded ? "sharded" : set}`;
  });
}

/** Whether it is a replica set or sharded, and so has transactions and retryable writes. */
export async function hasTransactions(url: string): Promise<boolean> {
  return withMongo(url, async (client) => {
    const hello = await client.db("admin").command({ hello: 1 });
    return hello["setName"] !== undefined || hello["msg"] === "isdbgrid";
  });
}

const ROOT = { user: "root", password: "secret" } as const;

/** Resolves once root can log in, whom it makes at its first start: a mongod lets its own machine do that once. */
async function root(open: string, guarded: string): Promise<void> {
  const making = { createUser: ROOT.user, pwd: ROOT.password, roles: ["root"] };
  await describeMongo(guarded).catch(async (error: unknown) => {
    await withMongo(open, (client) => client.db("admin").command(making));
    throw error;
  });
}

/** Test commands are those that set fail points. */
const REPLICA_SET = ["--replSet", "rs0", "--setParameter", "enableTestCommands=1"];

/** Resolves once it is the primary of its set of one, which it makes at its first start. */
async function primary(url: string, ownPort: number): Promise<void> {
  await withMongo(url, async (client) => {
    const admin = client.db("admin");
    const hello = await admin.command({ hello: 1 });
    if (hello["isWritablePrimary"] === true) return;
    if (hello["setName"] === undefined) {
      const members = [{ _id: 0, host: `127.0.0.1:${ownPort}` }];
      await admin.command({ replSetInitiate: { _id: "rs0", members } }).catch((error: unknown) => {
        if (!String(error).includes("already initialized")) throw error;
      });
    }
    throw new Error("It is not yet primary.");
  });
}

async function withMongo<T>(url: string, work: (client: MongoClient) => Promise<T>): Promise<T> {
  const { MongoClient: Client } = await import("mongodb");
  const client = new Client(url, {
    serverSelectionTimeoutMS: 3000,
    connectTimeoutMS: 3000,
    socketTimeoutMS: 5000,
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
