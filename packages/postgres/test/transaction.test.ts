import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import type { PostgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool, PoolClient } from "pg";
import { beforeAll, expect, test } from "vitest";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
let count = 0;
const fresh = (): string => `user ${(count += 1)}`;

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

  const begun = async (isolation = "read committed"): Promise<PoolClient> => {
    const client = await pools.open({ max: 1 }).connect();
    await client.query(`begin isolation level ${isolation}`);
    return client;
  };
  const ended = async (client: PoolClient, how: "commit" | "rollback"): Promise<void> => {
    await client.query(how);
    client.release();
  };

  test("a change of password and the end of all sessions commit as one", async () => {
    const [userId, other] = [fresh(), newSession()];
    const [one, two] = [newSession({ userId }), newSession({ userId })];
    await Promise.all([one, two, other].map((each) => store.create(each)));
    const client = await begun();
    await client.query(`update ${passwords} set hash = 'new'`);
    expect(await store.with(client).revokeUser(userId, { except: two.id })).toBe(1);
    expect(await store.with(client).listUser(userId)).toMatchObject([{ id: two.id }]);
    expect(await store.read(one.id)).toMatchObject({ id: one.id });
    await ended(client, "commit");
    expect(await store.read(one.id)).toBeNull();
    expect(await store.listUser(userId)).toMatchObject([{ id: two.id }]);
    expect(await password()).toBe("new");
  });

  test("they roll back as one, and nothing has happened", async () => {
    const userId = fresh();
    const [one, unborn] = [newSession({ userId }), newSession({ userId })];
    await store.create(one);
    const before = await password();
    const client = await begun();
    await client.query(`update ${passwords} set hash = 'never'`);
    const inside = store.with(client);
    expect(await inside.revokeUser(userId)).toBe(1);
    expect(await inside.create(unborn)).toBe("created");
    expect(await inside.revoke("unknown to all")).toBe(false);
    await ended(client, "rollback");
    expect(await password()).toBe(before);
    expect(await store.read(one.id)).toMatchObject({ version: 1, userId });
    expect(await store.create(unborn)).toBe("created");
    expect(await store.create(newSession({ id: "unknown to all" }))).toBe("created");
  });

  test("all calls resolve as the store's, one after another, however many are made at once", async () => {
    const client = await begun();
    const inside = store.with(client);
    const userId = fresh();
    const one = newSession({ userId });
    const answers = await Promise.all([
      inside.create(one),
      inside.create(one),
      inside.read(one.id),
      inside.update(one.id, {}),
      inside.update(one.id, { data: "new" }),
      inside.update(one.id, { data: "newer", ifVersion: 1 }),
      inside.listUser(userId),
      inside.revoke(one.id),
      inside.read(one.id),
      inside.update(one.id, {}),
      inside.revokeUser(userId),
    ]);
    expect(answers).toEqual([
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
    for await (const { id } of inside.scan()) expect(id).not.toBe(one.id);
    await ended(client, "commit");
  });

  test("a touch inside does not make the application's commit asynchronous", async () => {
    const one = newSession();
    await store.create(one);
    const client = await begun();
    await store.with(client).update(one.id, {});
    expect((await client.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    await ended(client, "commit");
  });

  test("a revocation inside makes the commit durable where it would not be", async () => {
    const one = newSession();
    await store.create(one);
    const client = await begun();
    await client.query("set local synchronous_commit to off");
    expect(await store.with(client).revoke(one.id)).toBe(true);
    expect((await client.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    await ended(client, "commit");
  });

  test.each(["repeatable read", "serializable"])(
    "a transaction that is %s, and could miss a session, is refused",
    async (isolation) => {
      const userId = fresh();
      const client = await begun(isolation);
      await client.query("select 1");
      await store.create(newSession({ userId }));
      const refused = store.with(client).revokeUser(userId);
      await expect(refused).rejects.toBeInstanceOf(StoreError);
      await expect(refused).rejects.toThrow("isolation level read committed");
      await ended(client, "rollback");
      expect(await store.listUser(userId)).toHaveLength(1);
    },
  );

  test("outside of a transaction any isolation is as good", async () => {
    const client = await pools
      .open({ max: 1, options: "-c default_transaction_isolation=serializable" })
      .connect();
    const one = newSession();
    expect(await store.with(client).create(one)).toBe("created");
    expect(await store.with(client).revoke(one.id)).toBe(true);
    client.release();
  });

  test("what fails is a StoreError, and the transaction is the application's to end", async () => {
    const client = await begun();
    await client.query("select 1/0").catch(() => undefined);
    await expect(store.with(client).read("id")).rejects.toMatchObject({
      name: "StoreError",
      cause: { code: "25P02" },
    });
    await ended(client, "rollback");
  });

  test("the fence of a transaction that commits refuses a login that began before it, and not one that began after", async () => {
    const userId = fresh();
    const before = await store.now();
    const client = await begun();
    await store.with(client).revokeUser(userId);
    const meanwhile = await store.now();
    await ended(client, "commit");
    expect(await store.create(newSession({ userId, authenticatedAt: before }))).toBe("fenced");
    // This is why the README calls it again after the commit.
    const late = newSession({ userId });
    expect(await store.create({ ...late, authenticatedAt: meanwhile })).toBe("created");
    expect(await store.revokeUser(userId)).toBe(1);
    expect(await store.create(newSession({ userId, authenticatedAt: meanwhile }))).toBe("fenced");
  });

  test("a transaction that rolls back leaves no fence", async () => {
    const userId = fresh();
    const before = await store.now();
    const client = await begun();
    await store.with(client).revokeUser(userId);
    await ended(client, "rollback");
    expect(await store.create(newSession({ userId, authenticatedAt: before }))).toBe("created");
  });

  test("a session that is bound to another while revokeUser waits for it is the other's, and lives", async () => {
    const [userId, other] = [fresh(), fresh()];
    const one = newSession({ userId });
    await store.create(one);
    const client = await begun();
    await store.with(client).update(one.id, { userId: other });
    const revoking = store.revokeUser(userId);
    await sleep(100);
    await ended(client, "commit");
    expect(await revoking).toBe(0);
    expect(await store.listUser(other)).toMatchObject([{ id: one.id }]);
  });

  test("a session whose data changes while revokeUser waits for it ends", async () => {
    const userId = fresh();
    const one = newSession({ userId });
    await store.create(one);
    const client = await begun();
    await store.with(client).update(one.id, { data: "changed" });
    const revoking = store.revokeUser(userId);
    await sleep(100);
    await ended(client, "commit");
    expect(await revoking).toBe(1);
    expect(await store.read(one.id)).toBeNull();
  });
});
