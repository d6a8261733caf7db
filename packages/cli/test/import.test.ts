import { randomBytes, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ReauthenticationRequired, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { redisStore } from "@tenure/redis";
import { server } from "@tenure/servers";
import session from "express-session";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectMongo, connectPg, connectRedis, type ImportSource, write } from "./import-sources.ts";
import { json, tenure } from "./tenure.ts";

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");

const HOUR = 3_600_000;
const newSid = (): string => randomBytes(24).toString("base64url");

describe.each([
  ["connect-redis", redis, connectRedis],
  ["connect-pg-simple", postgres, connectPg],
  ["connect-mongo", mongo, connectMongo],
  ["connect-mongo with stringify: false", mongo, (url: string) => connectMongo(url, { stringify: false })],
] as const)("tenure import --from %s", (_name, from, open) => {
  from.describe("with rows that the package wrote", () => {
    let source: ImportSource;
    let sessions: Sessions;
    beforeEach(async () => {
      source = await open(from.url);
      sessions = new Sessions({ store: source.tenure });
    });
    afterEach(() => source?.[Symbol.asyncDispose]());
    const importAll = (...more: string[]) => json<object>(["import", ...source.args, ...more]);

    test("creates sessions under the same tokens, with their data, their user and their remaining time", async () => {
      const [withMaxAge, withoutMaxAge] = [newSid(), newSid()];
      await write(source.store, withMaxAge, { userId: "ada", basket: ["tea"] }, 2 * HOUR);
      await write(source.store, withoutMaxAge, { passport: { user: 7 } });
      await expect(importAll()).resolves.toMatchObject({ imported: 2, ofUsers: 2 });
      const now = await sessions.since();

      const first = await sessions.get(withMaxAge);
      expect(first).toMatchObject({ userId: "ada", data: { userId: "ada", basket: ["tea"] } });
      // Some milliseconds have passed since the write.
      expect(first?.idle).toBeLessThanOrEqual(2 * HOUR);
      expect(first?.idle).toBeGreaterThan(2 * HOUR - 10_000);
      expect(first?.data["cookie"]).toMatchObject({ originalMaxAge: 2 * HOUR, path: "/", httpOnly: true });
      expect(first?.data["cookie"]).not.toHaveProperty("expires");
      // No package keeps more than whole seconds, and each rounds up.
      expect(Math.abs((first?.endsAt ?? 0) - (now + 2 * HOUR))).toBeLessThan(10_000);
      expect(first?.expiresAt).toBeLessThanOrEqual(first?.endsAt ?? 0);

      const second = await sessions.get(withoutMaxAge);
      expect(second).toMatchObject({ userId: "7" });
      expect(second?.endsAt).toBeGreaterThan(now + 23 * HOUR);
    });

    test("dates the login far back, so that requireRecent asks for a new one", async () => {
      const sid = newSid();
      await write(source.store, sid, { userId: randomUUID() }, HOUR);
      await importAll();
      const found = await sessions.get(sid);
      expect(() => sessions.requireRecent(found!, "50m")).toThrow(ReauthenticationRequired);
    });

    test("run again leaves existing sessions unchanged, and does not bring back revoked ones", async () => {
      const [ended, kept] = [newSid(), newSid()];
      const userId = randomUUID();
      for (const sid of [ended, kept]) await write(source.store, sid, { userId }, HOUR);
      await expect(importAll()).resolves.toMatchObject({ imported: 2, ofUsers: 2 });
      await sessions.revoke(ended);
      const found = await sessions.get(kept);
      await sessions.save(found!, { ...found!.data, basket: ["coffee"] });
      await expect(importAll()).resolves.toMatchObject({ imported: 0, refused: 1, alreadyThere: 1 });
      await expect(sessions.get(ended)).resolves.toBeNull();
      await expect(sessions.get(kept)).resolves.toMatchObject({ data: { basket: ["coffee"] } });
      await sessions.revokeAllForUser(userId);
      await expect(importAll()).resolves.toMatchObject({ imported: 0, refused: 2 });
    });

    test("refuses the sessions of a user who was logged out everywhere before the import reached them", async () => {
      const [sid, userId] = [newSid(), randomUUID()];
      await sessions.revokeAllForUser(userId);
      await write(source.store, sid, { userId }, HOUR);
      await expect(importAll()).resolves.toMatchObject({ imported: 0, refused: 1 });
      await expect(sessions.get(sid)).resolves.toBeNull();
    });

    test("with --dry-run stores nothing, and counts what it would import", async () => {
      const sid = newSid();
      await write(source.store, sid, { userId: randomUUID() }, HOUR);
      await expect(importAll("--dry-run")).resolves.toMatchObject({ imported: 1, ofUsers: 1, dryRun: true });
      await expect(sessions.get(sid)).resolves.toBeNull();
      await expect(importAll()).resolves.toMatchObject({ imported: 1, ofUsers: 1 });
    });

    test("with --dry-run reports the same counts as the import after it", async () => {
      await write(source.store, newSid(), { userId: "ada" }, HOUR);
      await write(source.store, newSid(), { userId: 1.5 }, HOUR);
      await write(source.store, newSid(), { userId: "ada", basket: "a".repeat(1024 ** 2) }, HOUR);
      await source.writeUnreadable(newSid());
      const counts = { imported: 2, ofUsers: 1, unstorable: 1, unreadable: 1 };
      await expect(importAll("--dry-run")).resolves.toMatchObject({ ...counts, alreadyThere: 0 });
      await expect(importAll()).resolves.toMatchObject({ ...counts, alreadyThere: 0 });
      const again = { imported: 0, ofUsers: 0, unstorable: 1, unreadable: 1, alreadyThere: 2 };
      await expect(importAll("--dry-run")).resolves.toMatchObject(again);
      await expect(importAll()).resolves.toMatchObject(again);
    });

    test("takes the user from --user-key, and the timeouts from --idle and --lifetime", async () => {
      const sid = newSid();
      await write(source.store, sid, { account: { id: "grace" } }, HOUR);
      const terms = ["--user-key", "account.id", "--idle", "20m", "--lifetime", "30d"];
      await expect(importAll(...terms)).resolves.toMatchObject({ imported: 1, ofUsers: 1 });
      const [found] = await source.tenure.listUser("grace");
      expect(found).toMatchObject({ idle: HOUR / 3, userId: "grace" });
      expect(found!.endsAt - found!.createdAt).toBe(30 * 24 * HOUR);
    });

    test("recommends --user-key if no session names a user", async () => {
      await write(source.store, newSid(), { account: { id: "grace" } }, HOUR);
      const ran = await tenure(["import", ...source.args]);
      expect(ran.err).toContain("--user-key");
    });

    test("keeps users logged in with their cookies when the application changes its store", async () => {
      const userId = randomUUID();
      const before = await serve(source.store);
      const login = await fetch(`${before.url}/login?${userId}`);
      const cookie = login.headers.getSetCookie()[0]!.split(";")[0]!;
      await before.close();
      await importAll();
      const after = await serve(expressSessionStore(sessions));
      const me = async (): Promise<string> => (await fetch(after.url, { headers: { cookie } })).text();
      await expect(me()).resolves.toBe(userId);
      await sessions.revokeAllForUser(userId);
      await expect(me()).resolves.toBe("nobody");
      await after.close();
    });

    test("exits with code 1, and prints no session data, if it leaves live sessions behind", async () => {
      const weak = randomUUID();
      await write(source.store, weak, { userId: "the user" }, HOUR);
      await source.writeUnreadable(newSid());
      await source.writeExpired?.(newSid());
      const ran = await tenure(["import", ...source.args, "--json"]);
      expect(ran.code).toBe(1);
      expect(JSON.parse(ran.out)).toMatchObject({
        weakId: 1,
        unreadable: 1,
        expired: source.writeExpired === undefined ? 0 : 1,
      });
      expect(ran.out + ran.err).not.toContain("the user");
      await expect(importAll("--min-token-bits", "122")).resolves.toMatchObject({ imported: 1, weakId: 0 });
      await expect(sessions.get(weak)).resolves.toMatchObject({ userId: "the user" });
    });
  });
});

redis.describe("tenure import", () => {
  test("refuses a server on which the package cannot keep sessions", async () => {
    const ran = await tenure(["import", "--from", "connect-mongo", "--store", redis.url]);
    const err = expect.stringContaining("connect-mongo does not keep sessions on redis://");
    expect(ran).toMatchObject({ code: 2, out: "", err });
  });

  test.each([
    ["the same as", ""],
    ["the beginning of", "sess:"],
  ])("from connect-redis leaves no session behind if --prefix is %s the source's prefix", async (_, rest) => {
    const prefix = `${randomUUID()}:`;
    const client = new Redis(redis.url);
    const [sid, another] = [newSid(), newSid()];
    const value = JSON.stringify({ userId: "ada", cookie: { originalMaxAge: HOUR } });
    await client.set(`${prefix}${rest}${sid}`, value, "PX", HOUR);
    await client.set(`${prefix}${rest}${another}`, value, "PX", HOUR);
    const args = ["import", "--from", "connect-redis", "--source-prefix", prefix + rest];
    const to = ["--store", redis.url, "--prefix", prefix];
    await expect(json([...args, ...to])).resolves.toMatchObject({ imported: 2, unreadable: 0 });
    const again = await json([...args, ...to]);
    const sessions = new Sessions({ store: redisStore(client, { prefix }) });
    await expect(sessions.get(sid)).resolves.toMatchObject({ userId: "ada" });
    client.disconnect();
    expect(again).toMatchObject({ imported: 0, alreadyThere: 2, unreadable: 0 });
  });

  postgres.describe("from connect-redis to another server", () => {
    test("copies sessions from Redis to PostgreSQL", async () => {
      await using source = await connectRedis(redis.url);
      await using target = await connectPg(postgres.url);
      const sid = newSid();
      await write(source.store, sid, { userId: "ada" }, HOUR);
      const schema = target.args[target.args.indexOf("--schema") + 1]!;
      const prefix = source.args[source.args.indexOf("--source-prefix") + 1]!;
      const to = ["--store", postgres.url, "--schema", schema];
      const from = ["--from", "connect-redis", "--source-prefix", prefix];
      const settings = { env: { TENURE_SOURCE: redis.url } };
      await expect(json(["import", ...from, ...to], settings)).resolves.toMatchObject({ imported: 1 });
      await expect(new Sessions({ store: target.tenure }).get(sid)).resolves.toMatchObject({ userId: "ada" });
    });
  });
});

interface Application {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts an application that uses express-session with this store. */
async function serve(store: session.Store): Promise<Application> {
  const middleware = session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false });
  const app: Server = createServer(
    (req: IncomingMessage & { session?: session.Session & { userId?: string } }, res) => {
      middleware(req as never, res as never, (error?: unknown) => {
        if (error) return res.writeHead(500).end();
        const { session: own } = req;
        if (req.url?.startsWith("/login") && own) own.userId = req.url.split("?")[1] ?? "";
        return res.end(own?.userId ?? "nobody");
      });
    },
  );
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(app.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => app.close(() => resolve())),
  };
}
