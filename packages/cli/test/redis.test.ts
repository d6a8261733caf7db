import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { redisStore } from "@tenure/redis";
import { canStart, server, startRedis, startRedisCluster, startRedisSentinel } from "@tenure/servers";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findingsOf, testCommands } from "./commands.ts";
import { tenure } from "./tenure.ts";

const redis = await server("redis");
const ownRedis = await canStart("redis");
const severalRedis = await canStart("redis-cluster");

redis.describe("Redis", () => {
  const prefix = `${randomUUID()}:`;
  let client: Redis;
  beforeAll(() => {
    client = new Redis(redis.url);
  });
  afterAll(() => client?.disconnect());
  testCommands(() => ({
    args: ["--store", redis.url, "--prefix", prefix],
    store: redisStore(client, { prefix }),
  }));

  test("doctor writes nothing", async () => {
    const empty = `${randomUUID()}:`;
    await tenure(["doctor", "--store", redis.url, "--prefix", empty]);
    await expect(client.keys(`${empty}*`)).resolves.toEqual([]);
  });
});

ownRedis.describe("doctor", () => {
  let misconfigured: Awaited<ReturnType<typeof startRedis>>;
  beforeAll(async () => {
    misconfigured = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] });
  });
  afterAll(() => misconfigured?.[Symbol.asyncDispose]());
  const urlOf = (user: string, password: string): string =>
    misconfigured.url.replace("redis://", `redis://${user}:${password}@`);

  test("reports no problem with a server that has appendonly and appendfsync always", async () => {
    await using good = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const ran = await tenure(["doctor", "--store", good.url]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).not.toMatch(/^(?:warning|problem|unknown)/m);
  });

  test("reports an eviction policy, missing persistence and a replica, and recommends a setting", async () => {
    const ran = await tenure(["doctor", "--store", misconfigured.url]);
    expect(ran).toMatchObject({
      code: 1,
      out: expect.stringContaining("-> set maxmemory-policy noeviction"),
    });
    await expect(findingsOf(["--store", misconfigured.url])).resolves.toMatchObject({
      eviction: expect.stringMatching(/^problem: maxmemory-policy is allkeys-lru/),
      persistence: expect.stringMatching(/^warning: none/),
    });
    await using replica = await startRedis({ args: ["--replicaof", "127.0.0.1 1"] });
    await expect(findingsOf(["--store", replica.url])).resolves.toMatchObject({
      role: expect.stringMatching(/^problem: this is a replica/),
    });
  });

  test("reports commands that the user may not run, and reports checks that it may not make as unknown", async () => {
    const admin = new Redis(misconfigured.url);
    const rules = ["on", ">s3cret", "~tenure:*", "+@all", "-zadd", "-info", "-config", "-scan"];
    await admin.call("ACL", "SETUSER", "app", ...rules);
    admin.disconnect();
    await expect(findingsOf(["--store", urlOf("app", "s3cret")])).resolves.toMatchObject({
      version: expect.stringMatching(/^unknown/),
      eviction: expect.stringMatching(/^unknown/),
      privileges: "problem: the user may not run zadd, scan on tenure:*",
    });
    const ran = await tenure(["doctor", "--store", urlOf("app", "wr0ng")]);
    expect(ran).toMatchObject({ code: 1, out: "", err: expect.stringContaining("WRONGPASS") });
    expect(ran.err).not.toContain("wr0ng");
  });

  test("checks the commands that the README of @tenure/redis allows, and no others", async () => {
    const rules = readmeRules();
    // Every connection needs TIME. The store works without INFO.
    const commands = rules.filter((rule) => rule.startsWith("+") && !["+time", "+info"].includes(rule));
    const admin = new Redis(misconfigured.url);
    await admin.call("ACL", "SETUSER", "all", ...rules);
    await admin.call("ACL", "SETUSER", "none", ...rules, ...commands.map((rule) => rule.replace("+", "-")));
    admin.disconnect();
    const checked = async (user: string): Promise<string> => {
      const found = await findingsOf(["--store", urlOf(user, "secret")]);
      return found["privileges"] ?? "";
    };
    await expect(checked("all")).resolves.toBe("ok: all commands of the store are allowed");
    const refused = /^problem: the user may not run (.+) on tenure:\*$/.exec(await checked("none"))?.[1];
    expect(refused?.split(", ").toSorted()).toEqual(commands.map((rule) => rule.slice(1)).toSorted());
  });
});

ownRedis.describe("every command refuses", () => {
  test("a database that the server does not have, or that the user may not select", async () => {
    await using own = await startRedis();
    const admin = new Redis(own.url);
    await admin.call("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "+@all", "-select");
    admin.disconnect();
    await expect(tenure(["revoke-user", "ada", "--yes", "--store", `${own.url}/99`])).resolves.toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("DB index is out of range"),
    });
    const asApp = `${own.url.replace("redis://", "redis://app:s3cret@")}/1`;
    await expect(tenure(["count", "--store", asApp])).resolves.toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("NOPERM"),
    });
  });
});

/** The rights of the least-privileged user in the store's README. */
function readmeRules(): string[] {
  const readme = readFileSync(new URL("../../redis/README.md", import.meta.url), "utf8");
  const rules = /^ACL SETUSER tenure (.+)$/m.exec(readme)?.[1];
  if (rules === undefined) throw new Error("The README of @tenure/redis has no ACL line.");
  return rules.split(" ");
}

severalRedis.describe("several Redis servers:", () => {
  describe("a Cluster", () => {
    let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
    let client: Cluster;
    const hosts = (): string => cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(",");
    beforeAll(async () => {
      cluster = await startRedisCluster();
      client = new Cluster(cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port })));
    });
    afterAll(async () => {
      client?.disconnect();
      await cluster?.[Symbol.asyncDispose]();
    });
    testCommands(() => ({ args: ["--store", `redis+cluster://${hosts()}`], store: redisStore(client) }));

    test("doctor checks every primary", async () => {
      await expect(findingsOf(["--store", `redis+cluster://${hosts()}`])).resolves.toMatchObject({
        cluster: "ok: all 16384 slots are served",
        version: expect.stringMatching(/^ok: .* \(3 primaries\)$/),
        privileges: expect.stringMatching(/^ok/),
      });
    });

    test("every command refuses redis:// for one node, which has only some of the sessions", async () => {
      const args = ["--store", cluster.nodes[0]!.url];
      for (const command of [
        ["doctor"],
        ["count"],
        ["revoke-all", "--yes"],
        ["import", "--from", "connect-redis"],
      ])
        await expect(tenure([...command, ...args])).resolves.toMatchObject({
          code: 2,
          out: "",
          err: expect.stringContaining("write redis+cluster:// instead"),
        });
    });

    test("doctor reports the slots of a primary that is down without a replica", async () => {
      await using own = await startRedisCluster({ args: ["--cluster-node-timeout", "1500"] });
      const args = ["--store", `redis+cluster://127.0.0.1:${own.nodes[1]!.port}`];
      await Promise.all([own.nodes[0]!.kill(), own.nodes[3]!.kill()]);
      // The other servers notice it after cluster-node-timeout. Until then, doctor finds a primary that does
      // not reply.
      await expect
        .poll(() => findingsOf(args), { timeout: 30_000 })
        .toMatchObject({ cluster: "problem: 5461 of 16384 slots are not served" });
      await expect(tenure(["doctor", ...args])).resolves.toMatchObject({ code: 1, err: "" });
    });
  });

  describe("Sentinels", () => {
    let watched: Awaited<ReturnType<typeof startRedisSentinel>>;
    let client: Redis;
    beforeAll(async () => {
      watched = await startRedisSentinel();
      const sentinels = watched.sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
      client = new Redis({ sentinels, name: watched.name });
    });
    afterAll(async () => {
      client?.disconnect();
      await watched?.[Symbol.asyncDispose]();
    });
    const args = (): string[] => {
      const hosts = watched.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",");
      return ["--store", `redis+sentinel://${hosts}/${watched.name}`];
    };
    testCommands(() => ({ args: args(), store: redisStore(client) }));

    test("doctor finds the primary and its replicas", async () => {
      await expect(findingsOf(args())).resolves.toMatchObject({
        role: "ok: this is a primary",
        replicas: expect.stringMatching(/^ok: 2:/),
      });
    });
  });
});
