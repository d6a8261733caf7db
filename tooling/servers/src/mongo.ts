import type { Db } from "mongodb";
import { imageCommand } from "./container.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { sourceOf } from "./source.ts";

export interface MongoOptions {
  /**
   * Requires a login. The address contains root's credentials. The mongod is standalone, because a replica
   * set would need a key file. An image of any other server is run unchanged.
   */
  readonly auth?: boolean;
}

/**
 * Starts a MongoDB for one test file. A mongod is a replica set of one; an image of any other server is run
 * unchanged. The address asks for a direct connection, because a replica set of one announces an address
 * inside its container.
 */
export async function startMongo({ auth = false }: MongoOptions = {}): Promise<OwnServer> {
  const source = await sourceOf("mongo");
  const port = await freePort();
  const open = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  const root = open.replace("//", `//${ROOT.user}:${ROOT.password}@`);
  const mongod = ["mongod", "--port", String(port), ...(auth ? ["--auth"] : REPLICA_SET)];
  const environment = { MONGO_INITDB_ROOT_USERNAME: ROOT.user, MONGO_INITDB_ROOT_PASSWORD: ROOT.password };
  const local = (folder: string) => ({ command: [...mongod, "--bind_ip", "127.0.0.1", "--dbpath", folder] });

  if ("image" in source && (await imageCommand(source.image))[0] !== "mongod") {
    const [container, probe] = [{ inside: 27017 }, () => describeMongo(open)];
    return startOwnServer({ source, port, url: open, container, local, probe });
  }
  return startOwnServer({
    source,
    port,
    url: auth ? root : open,
    container: {
      command: [...mongod, "--bind_ip_all"],
      environment: auth ? environment : {},
      inside: port,
    },
    local,
    probe: () => (auth ? loggedIn(root, open) : primary(open, port)),
  });
}

/**
 * Returns a MongoDB's name and version (`buildInfo`) and its role (`hello`):
 * `MongoDB 8.0.13, replica set rs0`.
 */
export async function describeMongo(url: string): Promise<string> {
  return withAdmin(url, async (admin) => {
    const build = await admin.command({ buildInfo: 1 });
    const hello = await admin.command({ hello: 1 });
    const ferret = build["ferretdb"]?.version;
    const name =
      ferret === undefined ? `MongoDB ${build["version"]}` : `FerretDB ${ferret} as ${build["version"]}`;
    const set = hello["setName"] === undefined ? "standalone" : `replica set ${hello["setName"]}`;
    return `${name}, ${hello["msg"] === "isdbgrid" ? "sharded" : set}`;
  });
}

const ROOT = { user: "root", password: "secret" } as const;

/** `enableTestCommands` permits setting fail points. */
const REPLICA_SET = ["--replSet", "rs0", "--setParameter", "enableTestCommands=1"];

/**
 * Resolves once root can log in. The image creates root at its first start. A local mongod lets a client on
 * the same machine create the first user.
 */
async function loggedIn(root: string, open: string): Promise<void> {
  const making = { createUser: ROOT.user, pwd: ROOT.password, roles: ["root"] };
  await describeMongo(root).catch(async (error: unknown) => {
    await withAdmin(open, (admin) => admin.command(making));
    throw error;
  });
}

/** Resolves once the server is the primary of its set of one, which is initiated at its first start. */
async function primary(url: string, port: number): Promise<void> {
  await withAdmin(url, async (admin) => {
    const hello = await admin.command({ hello: 1 });
    if (hello["isWritablePrimary"] === true) return;
    const members = [{ _id: 0, host: `127.0.0.1:${port}` }];
    if (hello["setName"] === undefined) await admin.command({ replSetInitiate: { _id: "rs0", members } });
    throw new Error("The server is not yet the primary.");
  });
}

async function withAdmin<T>(url: string, work: (admin: Db) => Promise<T>): Promise<T> {
  const { MongoClient } = await import("mongodb");
  const client = new MongoClient(url, {
    serverSelectionTimeoutMS: 3000,
    connectTimeoutMS: 3000,
    socketTimeoutMS: 5000,
  });
  try {
    return await work(client.db("admin"));
  } finally {
    await client.close();
  }
}
