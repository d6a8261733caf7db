import { canStart, type OwnServer, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { evictionPolicies } from "../src/eviction.ts";
import { redisStore } from "../src/index.ts";
import { storeClient } from "../src/recognise.ts";
import { Clients } from "./clients.ts";
import { newId } from "./sessions.ts";

const here = await canStart("redis");
const clients = new Clients();
let own: OwnServer;

here.describe("a maxmemory-policy that may evict sessions", () => {
  beforeAll(async () => {
    own = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] });
    const admin = clients.redis(own.url);
    await admin.call("ACL", "SETUSER", "no-info", "on", ">x", "~*", "+@all", "-info");
    await admin.call("ACL", "SETUSER", "no-info-no-config", "on", ">x", "~*", "+@all", "-info", "-config");
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await own?.[Symbol.asyncDispose]();
  });

  test("causes one warning, at the first use of the store", async () => {
    const client = clients.redis(own.url);
    const warnings = await warningsDuring(client, async () => {
      const store = redisStore(client);
      await store.read(newId());
      await store.read(newId());
    });
    expect(warnings).toEqual([
      expect.objectContaining({
        name: "TenureWarning",
        code: "TENURE_REDIS_EVICTION",
        message: expect.stringContaining("allkeys-lru") as string,
      }),
    ]);
  });

  test("is read with CONFIG if the user may not use INFO, and is unknown if the user may use neither", async () => {
    for (const [username, policies] of [
      ["no-info", ["allkeys-lru"]],
      ["no-info-no-config", []],
    ] as const) {
      const user = { username, password: "x" };
      const userClients = [
        clients.add(new Redis(own.url, { ...user, enableReadyCheck: false })),
        clients.connecting(createClient({ url: own.url, ...user })),
        clients.connecting(createClient({ url: own.url, ...user, RESP: 2 })),
      ];
      for (const client of userClients)
        await expect(evictionPolicies(storeClient(client))).resolves.toEqual(policies);
    }
  });
});

/** Returns the warnings of a store's first use, once the client has the server's policy. */
async function warningsDuring(client: Redis, use: () => Promise<unknown>): Promise<Error[]> {
  const warnings: Error[] = [];
  const listener = (warning: Error): void => void warnings.push(warning);
  process.on("warning", listener);
  const { mock } = vi.spyOn(client, "call");
  await use();
  await expect.poll(() => mock.calls).toContainEqual(["INFO", "memory"]);
  await Promise.allSettled(mock.results.map(({ value }) => value as Promise<unknown>));
  // The warning follows the reply in the same turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", listener);
  return warnings.filter(({ name }) => name === "TenureWarning");
}
