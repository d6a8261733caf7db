import { StoreError } from "@tenure/core";
import { type PostgresPool, type PostgresStore, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeAll, expect, test } from "vitest";
import { operationsOn } from "../src/operations.ts";
import { statementsFor } from "../src/statements.ts";
import { tableOf } from "../src/table.ts";
import { fakePool, intercepted } from "./intercepted-pool.ts";
import { end, poolsOn } from "./pools.ts";
import { HOUR, newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const { table } = pools;

postgres.describe("postgresStore, the login fence", () => {
  let store: PostgresStore;
  let admin: Pool;
  beforeAll(async () => {
    store = await pools.store();
    admin = pools.open({ max: 1 });
  });

  test("a fence is set only by a statement that runs after the server's clock has passed its instant", async () => {
    const { fence } = operationsOn(statementsFor(tableOf({ table }), HOUR));
    const client = await pools.begin();
    const states = new Set<string>();
    for (let round = 0; round < 200; round += 1) {
      for (let upTo: number | null = null, state = "early"; state === "early";) {
        const { statement, values } = fence.query([{ userId: "clock", upTo }], null);
        const text = statement.text.replace(/\nselect /, "\nselect now, ");
        const { rows } = await client.query({ text, values: [...values], rowMode: "array" });
        const [now, , , instant, next] = rows[0] as [Date, unknown, unknown, string, string];
        if (next === "fenced") expect(now.getTime()).toBeGreaterThan(Number(instant));
        else expect(now.getTime()).toBe(Number(instant));
        states.add(next);
        [upTo, state] = [Number(instant), next];
      }
    }
    expect(states).toEqual(new Set(["early", "fenced"]));
    await end(client, "rollback");
  });

  test("revokeUser rejects if the server's clock stands still, instead of waiting for ever", async () => {
    const frozen = fakePool(async () => ({ rows: [[null, "ada", "1000", "early"]] }));
    await expect(postgresStore(frozen).revokeUser("ada")).rejects.toThrow(/clock .* stands still/);
  });

  test("if the process crashes after setting the fence, older logins are refused, and the next revokeUser ends the sessions", async () => {
    const userId = "half revoked";
    const began = await store.now();
    const session = newSession({ userId });
    await store.create(session);
    const crashing = postgresStore(failingToEnd(pools.open()), { table });
    await expect(crashing.revokeUser(userId)).rejects.toBeInstanceOf(StoreError);
    expect(await store.read(session.id)).toMatchObject({ id: session.id });
    expect(await store.create(newSession({ userId, authenticatedAt: began }))).toBe("fenced");
    expect(await store.revokeUser(userId)).toBe(1);
    expect(await store.read(session.id)).toBeNull();
  });

  test("revokeUser ends a session that was authenticated before the clock was set back, unless the call gives authenticatedUpTo", async () => {
    const userId = "authenticated in the future";
    const session = newSession({ userId });
    await store.create(session);
    await admin.query(`update ${table} set authenticated_at = now() + interval '1 minute' where id = $1`, [
      session.id,
    ]);
    expect(await store.revokeUser(userId, { authenticatedUpTo: await store.now() })).toBe(0);
    expect(await store.revokeUser(userId)).toBe(1);
    expect(await store.read(session.id)).toBeNull();
  });

  test("if logins of one user in two processes race with revokeUser, no session at or before the fence remains", async () => {
    const other = postgresStore(pools.open(), { table });
    for (let round = 0; round < 20; round += 1) {
      const userId = `racing ${round}`;
      const began = await store.now();
      const logins = Array.from({ length: 20 }, (_, n) => {
        const session = newSession({ userId });
        return (n % 2 ? store : other).create(n % 3 ? { ...session, authenticatedAt: began } : session);
      });
      await store.revokeUser(userId);
      expect(await Promise.all(logins)).not.toContain("taken");
      const fence = await admin.query(
        `select authenticated_at from ${table} where id = chr(1) || 'u' || $1`,
        [userId],
      );
      const instant = (fence.rows[0].authenticated_at as Date).getTime();
      for (const { authenticatedAt } of await store.listUser(userId))
        expect(authenticatedAt).toBeGreaterThan(instant);
    }
  });
});

/** A pool that loses the connection before the server gets a statement that ends a user's sessions. */
function failingToEnd(pool: Pool): PostgresPool {
  const { endUnlocked } = statementsFor(tableOf({ table }), HOUR);
  return intercepted(pool, async (query, next) => {
    if (query.text === endUnlocked.text) throw new Error("Connection terminated unexpectedly");
    return next(query);
  });
}
