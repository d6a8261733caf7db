import { setTimeout as sleep } from "node:timers/promises";
import { server } from "@tenure/servers";
import type { Pool, PoolClient } from "pg";
import { beforeAll, expect, test } from "vitest";
import type { PostgresStore } from "@tenure/postgres";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;
/** Idle timeout in milliseconds: long enough for the steps before it passes, even on a busy machine. */
const BRIEF = 500;

postgres.describe("postgresStore beside a transaction that has locked a session", () => {
  let store: PostgresStore;
  let admin: Pool;
  beforeAll(async () => {
    store = await pools.store();
    admin = pools.open({ max: 1 });
  });

  let count = 0;
  const fresh = async (given: { idle?: number; userId?: string } = {}): Promise<string> => {
    const id = `held-${(count += 1)}`;
    await store.create({ id, userId: null, data: "{}", idle: HOUR, lifetime: 10 * HOUR, ...given });
    return id;
  };

  /** Locks a session in another transaction, such as an administrator's psql. */
  const hold = async (id: string): Promise<PoolClient> => {
    const client = await pools.open({ max: 1 }).connect();
    await client.query("begin");
    await client.query(`select from ${pools.table} where id = $1 for update`, [id]);
    return client;
  };
  const letGo = async (client: PoolClient, how: "commit" | "rollback" = "rollback"): Promise<void> => {
    await client.query(how);
    client.release();
  };

  /** Waits until the server's clock is past the end of the session. */
  const expired = async (id: string): Promise<void> => {
    const { rows } = await admin.query<{ left: number }>(
      `select extract(epoch from expires_at - clock_timestamp())::float8 * 1000 as left from ${pools.table} where id = $1`,
      [id],
    );
    await sleep(Math.max(0, rows[0]!.left) + 5);
  };

  /** Waits until a statement of the store waits for a row. `forGood`: a statement without `lock_timeout`. */
  const waited = async ({ forGood = false } = {}): Promise<void> => {
    const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1
      and query_start < clock_timestamp() - $2::interval`;
    const longest = forGood ? "200 ms" : "0";
    while ((await admin.query(waiting, [pools.table, longest])).rows.length === 0) await sleep(5);
  };

  for (const how of ["commit", "rollback"] as const) {
    test(`a touch that waited for a ${how} counts from when it was made`, async () => {
      const id = await fresh();
      const holder = await hold(id);
      const touching = store.update(id, {});
      await waited({ forGood: true });
      const until = await store.now();
      await letGo(holder, how);
      expect(await touching).toBe("updated");
      const { touchedAt, expiresAt } = (await store.read(id))!;
      expect(touchedAt).toBeLessThan(until);
      expect(expiresAt).toBe(touchedAt + HOUR);
    });

    test(`an update that waited past expiresAt for a ${how} is gone, and nothing is written`, async () => {
      const id = await fresh({ idle: BRIEF });
      const holder = await hold(id);
      const updating = store.update(id, { data: "late", userId: "late", idle: HOUR });
      await expired(id);
      await letGo(holder, how);
      expect(await updating).toBe("gone");
      expect(await store.listUser("late")).toEqual([]);
    });

    test(`a revoke that waited past expiresAt for a ${how} ended nobody, and leaves its tombstone`, async () => {
      const id = await fresh({ idle: BRIEF });
      const holder = await hold(id);
      const revoking = store.revoke(id);
      await expired(id);
      await letGo(holder, how);
      expect(await revoking).toBe(false);
      expect(await store.create({ id, userId: null, data: "", idle: HOUR, lifetime: HOUR })).toBe("taken");
    });

    test(`a revokeUser that waited past expiresAt for a ${how} ended nobody`, async () => {
      const userId = `waiting for ${how}`;
      const id = await fresh({ idle: BRIEF, userId });
      const holder = await hold(id);
      const revoking = store.revokeUser(userId);
      await expired(id);
      await letGo(holder, how);
      expect(await revoking).toBe(0);
    });
  }

  test("a touch that waited for another use does not set it back", async () => {
    const id = await fresh();
    const holder = await hold(id);
    const touching = store.update(id, {});
    await waited({ forGood: true });
    const inside = store.with(holder);
    expect(await inside.update(id, {})).toBe("updated");
    const used = await inside.read(id);
    await letGo(holder, "commit");
    expect(await touching).toBe("updated");
    expect(await store.read(id)).toEqual(used);
  });

  test("a touch that waited for a revocation is gone", async () => {
    const id = await fresh();
    const holder = await hold(id);
    const touching = store.update(id, {});
    await waited({ forGood: true });
    expect(await store.with(holder).revoke(id)).toBe(true);
    await letGo(holder, "commit");
    expect(await touching).toBe("gone");
    expect(await store.read(id)).toBeNull();
  });

  test("calls about other sessions do not wait for it, nor for two of them", async () => {
    const [one, other, ...free] = await Promise.all(Array.from({ length: 40 }, () => fresh()));
    const holders = await Promise.all([hold(one!), hold(other!)]);
    const waiting = [store.update(one!, {}), store.update(other!, { data: "2" })];
    const answered: string[] = [];
    void Promise.all(waiting).then(() => answered.push("the held"));
    for (const id of free) {
      expect(await store.update(id, {})).toBe("updated");
      expect(await store.update(id, { data: "new" })).toBe("updated");
    }
    expect(await Promise.all(free.map((id) => store.revoke(id)))).toEqual(free.map(() => true));
    expect(answered).toEqual([]);
    for (const holder of holders) await letGo(holder);
    expect(await Promise.all(waiting)).toEqual(["updated", "updated"]);
  });

  test("in a pool of three connections too, calls about other sessions do not wait for it", async () => {
    const small = await pools.store({ max: 3, connectionTimeoutMillis: 1000 });
    const [held, free] = [await fresh(), await fresh()];
    const holder = await hold(held);
    const waiting = Promise.all([
      ...Array.from({ length: 5 }, () => small.update(held, {})),
      ...Array.from({ length: 5 }, () => small.update(held, { data: "new" })),
    ]);
    await waited({ forGood: true });
    for (let round = 0; round < 20; round += 1) {
      expect(await small.read(free)).toMatchObject({ id: free });
      expect(await small.update(free, { data: "new" })).toBe("updated");
    }
    await letGo(holder);
    expect(new Set(await waiting)).toEqual(new Set(["updated"]));
  });

  test("a call whose row is locked for a moment does not wait for one whose row is locked for long", async () => {
    const [long, brief] = [await fresh(), await fresh()];
    const [longHolder, briefHolder] = [await hold(long), await hold(brief)];
    const waitingLong = store.update(long, {});
    await waited();
    const waitingBriefly = [store.update(brief, {}), store.read(brief)];
    await letGo(briefHolder);
    expect(await Promise.all(waitingBriefly)).toEqual(["updated", expect.objectContaining({ id: brief })]);
    await letGo(longHolder);
    expect(await waitingLong).toBe("updated");
  });

  test("writes go on while a revoke waits for a row, however many reads there are", async () => {
    const held = await fresh();
    const holder = await hold(held);
    const revoking = store.revoke(held);
    await waited();
    const stopped = new AbortController();
    const reader = async (name: string) => {
      while (!stopped.signal.aborted) await store.read(name);
    };
    const reading = Array.from({ length: 64 }, (_, index) => reader(`reader ${index}`));
    for (let login = 0; login < 20; login += 1) await fresh();
    stopped.abort();
    await Promise.all(reading);
    await letGo(holder);
    expect(await revoking).toBe(true);
  });

  test("calls that wait for locked rows end within a few times statement_timeout, however many they are", async () => {
    const hurried = await pools.store({ statement_timeout: 1000 });
    const ids = await Promise.all(Array.from({ length: 40 }, () => fresh()));
    const holder = await hold(ids[0]!);
    await holder.query(`select from ${pools.table} where id = any($1) for update`, [ids]);
    const began = performance.now();
    const outcomes = await Promise.allSettled(ids.map((id) => hurried.update(id, {})));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { name: "StoreError" } });
    // One after another, these calls would take 40 seconds.
    expect(performance.now() - began).toBeLessThan(20_000);
    await letGo(holder);
  });

  test("revokeUser ends the user's other sessions at once, and the locked one when it is unlocked", async () => {
    const userId = "of two";
    const [held, free] = [await fresh({ userId }), await fresh({ userId })];
    const holder = await hold(held);
    const revoking = store.revokeUser(userId);
    while ((await store.read(free)) !== null) await sleep(5);
    await letGo(holder);
    expect(await revoking).toBe(2);
    expect(await store.read(held)).toBeNull();
  });

  test("a login waits until another transaction's revokeUser of its user has ended, and logins of others do not", async () => {
    const [ada, bob] = ["ada in a transaction", "bob outside"];
    await fresh({ userId: ada });
    const client = await pools.open({ max: 1 }).connect();
    await client.query("begin");
    const began = await store.now();
    expect(await store.with(client).revokeUser(ada)).toBe(1);
    const session = { userId: ada, data: "", idle: HOUR, lifetime: HOUR };
    const before = store.create({ ...session, id: "login before", authenticatedAt: began });
    const after = store.create({ ...session, id: "login after" });
    const anothers = store.create({ ...session, id: "of bob", userId: bob });
    expect(await anothers).toBe("created");
    await waited();
    expect(await store.read("login after")).toBeNull();
    await letGo(client, "commit");
    expect(await Promise.all([before, after])).toEqual(["fenced", "created"]);
  });

  test("revokeUser waits for a login that is not committed, and ends it", async () => {
    const userId = "logging in";
    for (const how of ["create", "binding"] as const) {
      const id = `${how} ${userId}`;
      const client = await pools.open({ max: 1 }).connect();
      await client.query("begin");
      const inside = store.with(client);
      if (how === "create") await inside.create({ id, userId, data: "", idle: HOUR, lifetime: HOUR });
      else {
        await store.create({ id, userId: null, data: "", idle: HOUR, lifetime: HOUR });
        expect(await inside.update(id, { userId })).toBe("updated");
      }
      const revoking = store.revokeUser(userId, { authenticatedUpTo: await store.now() });
      await waited();
      await letGo(client, "commit");
      expect(await revoking).toBe(1);
      expect(await store.read(id)).toBeNull();
    }
  });

  test("a row that is being created elsewhere is revoked once it is there", async () => {
    const id = "being created";
    const client = await pools.open({ max: 1 }).connect();
    await client.query("begin");
    expect(await store.with(client).create({ id, userId: null, data: "", idle: HOUR, lifetime: HOUR })).toBe(
      "created",
    );
    const revoking = store.revoke(id);
    await sleep(50);
    await client.query("commit");
    client.release();
    expect(await revoking).toBe(true);
    expect(await store.read(id)).toBeNull();
  });
});
