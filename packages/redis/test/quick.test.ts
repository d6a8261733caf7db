import { server } from "@tenure/servers";
import { memoryStore, type SessionStore } from "@tenure/core";
import { Redis } from "ioredis";
import { afterAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { freshId, newSession } from "./sessions.ts";
const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());
const HOUR = 3_600_000;

redis.describe("quick", () => {
  test("as the reference", { timeout: 60_000 }, async () => {
    const a = redisStore(clients.redis(redis.url), { prefix: freshId() });
    const b = memoryStore();
    let seed = 7;
    const rnd = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
    const ids = ["a", "b é", "%3A:", "", "d"];
    const users = ["u", "v ü", ""];
    for (let i = 0; i < 3000; i++) {
      const id = ids[rnd(5)]!, user = users[rnd(3)]!;
      const nowA = await a.now(), nowB = await b.now();
      const auth = (now: number, k: number) => k === 0 ? undefined : k === 1 ? now : k === 2 ? now - 20 : k === 3 ? now - 2 * HOUR : now + 1000;
      const k = rnd(5), kind = rnd(12), x = rnd(3), y = rnd(3), z = rnd(4), w = rnd(3), v = rnd(3);
      const op = async (s: SessionStore, now: number): Promise<unknown> => {
        const at = auth(now, k);
        if (kind < 3) return s.create({ id: id + (i >> 6), userId: x ? user : null, data: "d" + i, idle: HOUR, lifetime: 2 * HOUR, ...(x && at !== undefined ? { authenticatedAt: at } : {}) });
        if (kind < 8) return s.update(id + (i >> 6), {
          ...(y === 0 ? { data: "é" + i } : {}), ...(z === 0 ? { userId: user } : z === 1 ? { userId: null } : {}),
          ...(z !== 1 && at !== undefined && w === 0 ? { authenticatedAt: at } : {}), ...(w === 1 ? { lifetime: HOUR } : {}), ...(v === 0 ? { idle: HOUR + i } : {}), ...(v === 1 ? { touch: false } : {}),
          ...(x === 0 ? { ifVersion: 1 + y } : {}) });
        if (kind === 8) return s.revoke(id + (i >> 6));
        if (kind === 9) return s.revokeUser(user, { ...(x === 0 ? { except: id + (i >> 6) } : {}), ...(y === 0 ? { authenticatedUpTo: now - 30 } : {}) });
        const list = await s.listUser(user);
        return list.map((r) => [r.id, r.userId, r.data, r.version, r.idle, r.authenticatedAt! - now > -HOUR]).toSorted();
      };
      const [ra, rb] = [await op(a, nowA), await op(b, nowB)];
      expect([i, kind, ra]).toEqual([i, kind, rb]);
      const [sa, sb] = [await a.read(id + (i >> 6)), await b.read(id + (i >> 6))];
      if (sa === null || sb === null) expect([i, sa]).toEqual([i, sb]);
      else {
        expect([i, sa.id, sa.userId, sa.data, sa.version, sa.idle]).toEqual([i, sb.id, sb.userId, sb.data, sb.version, sb.idle]);
        for (const f of ["createdAt", "touchedAt", "expiresAt", "endsAt", "authenticatedAt"] as const) expect(Math.abs(sa[f]! - nowA - (sb[f]! - nowB)), `${i} ${f}`).toBeLessThan(1500);
      }
    }
    expect((await Array.fromAsync(a.scan())).map((r) => r.id).toSorted()).toEqual((await Array.fromAsync(b.scan())).map((r) => r.id).toSorted());
  });

  test("logins that race revokeUser", { timeout: 60_000 }, async () => {
    const stores = [1, 2, 3].map(() => redisStore(clients.redis(redis.url)));
    let fenced = 0, ended = 0;
    for (let i = 0; i < 150; i++) {
      const userId = freshId();
      const sessions = Array.from({ length: 6 }, (_, n) => newSession({ userId: n < 3 ? userId : null }));
      for (const s of sessions.slice(3)) await stores[0]!.create(s);
      const since = await stores[0]!.now();
      const logins = sessions.map(async (s, n) => {
        if (n % 3) await new Promise((r) => setTimeout(r, n % 3));
        return n < 3 ? stores[1]!.create({ ...s, authenticatedAt: since }) : stores[2]!.update(s.id, { userId, authenticatedAt: since, ...(n % 2 ? { lifetime: HOUR } : {}) });
      });
      const [count, ...results] = await Promise.all([stores[0]!.revokeUser(userId), ...logins]);
      ended += count; fenced += results.filter((r) => r === "fenced").length;
      expect(results.filter((r) => r === "created" || r === "updated").length).toBe(count);
      for (const { id } of sessions) expect((await stores[0]!.read(id))?.userId ?? null, String(results)).toBe(null);
      expect(await stores[0]!.listUser(userId)).toEqual([]);
      expect(await stores[0]!.create({ ...newSession({ userId }), authenticatedAt: await stores[1]!.now() })).toBe("created");
    }
    console.log({ fenced, ended });
  });
});
