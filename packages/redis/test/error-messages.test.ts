import { createServer } from "node:net";
import { canStart, freePort, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { newId } from "./sessions.ts";

const redis = await canStart("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

describe("the error of a call", () => {
  test("names the versions that the scripts need, if the server is older", async () => {
    // Redis 6.2 replies so to a script with flags.
    const reply = "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'";
    const port = await repliesWith(`-${reply}\r\n`);
    const client = clients.add(new Redis({ port, enableReadyCheck: false, disableClientInfo: true }));
    await expect(redisStore(client).revoke("id")).rejects.toThrow(
      `${reply} (the store's scripts need Redis 7 or Valkey 7.2, or later)`,
    );
  });

  test("names the kind of the client's error if that has no message", async () => {
    class TimeoutError extends Error {}
    const failing: Pick<Redis, "mget"> = { mget: () => Promise.reject(new TimeoutError()) };
    const client = { ...failing, evalsha() {}, pipeline() {}, options: {} } as unknown as RedisClient;
    await expect(redisStore(client).read("id")).rejects.toThrow("refused the command: TimeoutError");
  });

  test("quotes the first reason if the client could not connect to any of a host's addresses", async () => {
    const refused = new AggregateError([new Error("connect ECONNREFUSED ::1:6379")]);
    const client = { mget: () => Promise.reject(refused), evalsha() {}, pipeline() {}, options: {} };
    const store = redisStore(client as unknown as RedisClient);
    await expect(store.read("id")).rejects.toThrow("refused the command: connect ECONNREFUSED ::1:6379");
  });
});

redis.describe("on a node of a Cluster, without a Cluster client", () => {
  test("the error of a call asks for a Cluster client", async () => {
    // The default, the server's port plus 10,000, may be in use by an outgoing connection.
    const bus = ["--cluster-port", String(await freePort())];
    await using own = await startRedis({ args: ["--cluster-enabled", "yes", ...bus] });
    const client = clients.redis(own.url);
    await client.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    const store = redisStore(client);
    await expect.poll(() => store.read(newId()).catch(String)).toBeNull();
    const [, error] = await Promise.all(["one", "another"].map((id) => store.read(id).catch(String)));
    expect(error).toContain("(if the server is a node of a Cluster, give redisStore a Cluster client)");
  });
});

redis.describe("on a replica", () => {
  test("the error of a write asks for the primary, and ioredis reconnects to it as the README says", async () => {
    await using own = await startRedis();
    const admin = clients.redis(own.url);
    await admin.call("REPLICAOF", "127.0.0.1", String(await freePort()));
    const client = clients.redis(own.url);
    await expect(redisStore(client).revoke(newId())).rejects.toThrow("connect the client to the primary");
    const reconnecting = clients.add(
      new Redis(own.url, { reconnectOnError: (error) => error.message.startsWith("READONLY") }),
    );
    const store = redisStore(reconnecting);
    await expect(store.revoke(newId())).rejects.toThrow("connect the client to the primary");
    const reconnected = new Promise((resolve) => reconnecting.once("ready", resolve));
    await admin.call("REPLICAOF", "NO", "ONE");
    await reconnected;
    await expect(store.revoke(newId())).resolves.toBe(false);
  });
});

describe("redisStore refuses, and says what to pass instead,", () => {
  const open = (): Redis => clients.add(new Redis({ lazyConnect: true }));
  test.each<[string, () => unknown, string]>([
    ["the promise of a client", () => Promise.resolve(open()), "a promise: await it"],
    ["a pipeline of ioredis", () => open().pipeline(), "pass the client itself"],
    ["a transaction of node-redis", () => createClient().multi(), "pass the client itself"],
  ])("%s", (_, wrong, message) => {
    expect(() => redisStore(wrong() as RedisClient)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(message) as string }),
    );
  });
});

/** Starts a server that replies to everything in the same way, and resolves to its port. */
async function repliesWith(reply: string): Promise<number> {
  const server = createServer((socket) => socket.on("data", () => socket.write(reply)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as { readonly port: number }).port;
}
