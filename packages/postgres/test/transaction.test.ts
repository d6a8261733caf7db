import { StoreError } from "@tenure/core";
import type { PostgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeAll, expect, test } from "vitest";
import { end, poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
let count = 0;
const newUser = (): string => `user ${(count += 1)}`;

postgres.describe("postgresStore.with(client)", () => {
  let store: PostgresStore;
  const passwords = `passwords_${process.pid}`;
  let admin: Pool;
  beforeAll(async () => {
    store = await pools.store();
    admin = pools.open({ max: 1 });
    await admin.query(`create table ${passwords} (hash text); insert into ${passwords} values ('old')`);
  });
  const password = async (): Promise<string> =>
    (await admin.query(`select hash from ${passwords}`)).rows[0].hash;

  test("commits a change of password and the end of the user's sessions together", async () => {
    const userId = newUser();
    const [revoked, kept] = [newSession({ userId }), newSession({ userId })];
    await Promise.all([revoked, kept].map((session) => store.create(session)));
    const client = await pools.begin();
    await client.query(`update ${passwords} set hash = 'new'`);
    expect(await store.with(client).revokeUser(userId, { except: kept.id })).toBe(1);
    expect(await store.with(client).listUser(userId)).toMatchObject([{ id: kept.id }]);
    expect(await store.read(revoked.id)).toMatchObject({ id: revoked.id });
    await end(client, "commit");
    expect(await store.read(revoked.id)).toBeNull();
    expect(await store.listUser(userId)).toMatchObject([{ id: kept.id }]);
    expect(await password()).toBe("new");
  });

  test("rolls back a change of password and its own changes together", async () => {
    const userId = newUser();
    const [existing, created] = [newSession({ userId }), newSession({ userId })];
    await store.create(existing);
    const before = await password();
    const client = await pools.begin();
    await client.query(`update ${passwords} set hash = 'never'`);
    const inside = store.with(client);
    expect(await inside.revokeUser(userId)).toBe(1);
    expect(await inside.create(created)).toBe("created");
    expect(await inside.revoke("unknown")).toBe(false);
    await end(client, "rollback");
    expect(await password()).toBe(before);
    expect(await store.read(existing.id)).toMatchObject({ version: 1, userId });
    expect(await store.create(created)).toBe("created");
    expect(await store.create(newSession({ id: "unknown" }))).toBe("created");
  });

  test("makes concurrent calls one after another, with the same results as the store", async () => {
    const client = await pools.begin();
    const inside = store.with(client);
    const userId = newUser();
    const session = newSession({ userId });
    const results = await Promise.all([
      inside.create(session),
      inside.create(session),
      inside.read(session.id),
      inside.update(session.id, {}),
      inside.update(session.id, { data: "new" }),
      inside.update(session.id, { data: "newer", ifVersion: 1 }),
      inside.listUser(userId),
      inside.revoke(session.id),
      inside.read(session.id),
      inside.update(session.id, {}),
      inside.revokeUser(userId),
    ]);
    expect(results).toEqual([
      "created",
      "taken",
      expect.objectContaining({ version: 1 }),
      "updated",
      "updated",
      "conflict",
      [expect.objectContaining({ version: 2, data: "new" })],
      true,
      null,
      "gone",
      0,
    ]);
    expect(Math.abs((await inside.now()) - (await store.now()))).toBeLessThan(5000);
    const scanned = await Array.fromAsync(inside.scan());
    expect(scanned.map(({ id }) => id)).not.toContain(session.id);
    await end(client, "commit");
  });

  test("leaves the application's commit synchronous if it touches a session", async () => {
    const session = newSession();
    await store.create(session);
    const client = await pools.begin();
    await store.with(client).update(session.id, {});
    expect((await client.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    await end(client, "commit");
  });

  test("makes the application's commit synchronous if it revokes a session, even if synchronous_commit is off", async () => {
    const session = newSession();
    await store.create(session);
    const client = await pools.begin();
    await client.query("set local synchronous_commit to off");
    expect(await store.with(client).revoke(session.id)).toBe(true);
    expect((await client.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    await end(client, "commit");
  });

  test.each(["repeatable read", "serializable"])(
    "refuses a %s transaction, which could miss a session",
    async (isolation) => {
      const userId = newUser();
      const client = await pools.begin(isolation);
      await client.query("select 1");
      await store.create(newSession({ userId }));
      const refused = store.with(client).revokeUser(userId);
      await expect(refused).rejects.toBeInstanceOf(StoreError);
      await expect(refused).rejects.toThrow("isolation level read committed");
      await end(client, "rollback");
      expect(await store.listUser(userId)).toHaveLength(1);
    },
  );

  test("accepts any isolation level outside of a transaction", async () => {
    const client = await pools
      .open({ max: 1, options: "-c default_transaction_isolation=serializable" })
      .connect();
    const session = newSession();
    expect(await store.with(client).create(session)).toBe("created");
    expect(await store.with(client).revoke(session.id)).toBe(true);
    client.release();
  });

  test("rejects with a StoreError in a failed transaction, which the application can then roll back", async () => {
    const client = await pools.begin();
    await client.query("select 1/0").catch(() => undefined);
    await expect(store.with(client).read("id")).rejects.toMatchObject({
      name: "StoreError",
      cause: { code: "25P02" },
    });
    await end(client, "rollback");
  });

  test("sets a fence that, once committed, refuses logins from before the call, but none between the call and the commit", async () => {
    const userId = newUser();
    const before = await store.now();
    const client = await pools.begin();
    await store.with(client).revokeUser(userId);
    const beforeCommit = await store.now();
    await end(client, "commit");
    expect(await store.create(newSession({ userId, authenticatedAt: before }))).toBe("fenced");
    // This is why the README's example calls revokeUser again after the commit.
    expect(await store.create(newSession({ userId, authenticatedAt: beforeCommit }))).toBe("created");
    expect(await store.revokeUser(userId)).toBe(1);
    expect(await store.create(newSession({ userId, authenticatedAt: beforeCommit }))).toBe("fenced");
  });

  test("leaves no fence if the transaction is rolled back", async () => {
    const userId = newUser();
    const before = await store.now();
    const client = await pools.begin();
    await store.with(client).revokeUser(userId);
    await end(client, "rollback");
    expect(await store.create(newSession({ userId, authenticatedAt: before }))).toBe("created");
  });
});
