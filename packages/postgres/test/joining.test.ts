import { inspect } from "node:util";
import { type NewSession, StoreError } from "@tenure/core";
import { postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeAll, expect, test } from "vitest";
import { fakePool, intercepted, watching } from "./intercepted-pool.ts";
import { end, poolsOn } from "./pools.ts";
import { HOUR, insertSessions, newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const { table } = pools;

postgres.describe("postgresStore, concurrent calls", () => {
  beforeAll(() => pools.store());

  const watched = (pool: Pool = pools.open()) => {
    const watch = watching(pool);
    return { store: postgresStore(watch.pool, { table }), watch };
  };

  test("a call made alone sends one named statement without arrays, and revokeUser sends two, or three if there is nothing to end", async () => {
    const { store, watch } = watched();
    const session = newSession();
    const { id } = session;
    // Without an instant, the fence statement is repeated until the clock has passed the fence.
    const authenticatedUpTo = await store.now();
    const statementsOf = async (call: () => Promise<unknown>): Promise<number> => {
      watch.statements.length = 0;
      await call();
      for (const { name, values } of watch.statements) {
        expect(name).toMatch(/^tenure_[0-9a-f]{24}$/);
        expect(values.some(Array.isArray)).toBe(false);
      }
      return watch.statements.length;
    };
    expect({
      create: await statementsOf(() => store.create(session)),
      "create for a user": await statementsOf(() =>
        store.create(newSession({ userId: "ada", authenticatedAt: authenticatedUpTo })),
      ),
      read: await statementsOf(() => store.read(id)),
      touch: await statementsOf(() => store.update(id, {})),
      save: await statementsOf(() => store.update(id, { data: "2", ifVersion: 1 })),
      login: await statementsOf(() =>
        store.update(id, { data: "3", userId: "ada", authenticatedAt: Date.now(), lifetime: HOUR }),
      ),
      now: await statementsOf(() => store.now()),
      revoke: await statementsOf(() => store.revoke(id)),
      revokeUser: await statementsOf(() => store.revokeUser("ada", { authenticatedUpTo })),
      "revokeUser of nobody": await statementsOf(() => store.revokeUser("bob", { authenticatedUpTo })),
    }).toEqual({
      create: 1,
      "create for a user": 1,
      read: 1,
      touch: 1,
      save: 1,
      login: 1,
      now: 1,
      revoke: 1,
      revokeUser: 2,
      "revokeUser of nobody": 3,
    });
  });

  test.each([
    { views: 32, statements: 2 },
    // The reads leave in two halves: the server works on one while this process decodes the other.
    { views: 64, statements: 3 },
  ])(
    "$views concurrent page views, a fifth of which touch, send $statements statements",
    async ({ views, statements }) => {
      const { store, watch } = watched();
      const sessions = Array.from({ length: views }, () => newSession());
      await Promise.all(sessions.map((session) => store.create(session)));
      watch.statements.length = 0;
      await Promise.all(
        sessions.map(({ id }, index) =>
          Promise.all([store.read(id), index % 5 === 0 ? store.update(id, {}) : undefined]),
        ),
      );
      expect(watch.statements).toHaveLength(statements);
    },
  );

  test("calls that wait share the next statement of their kind, so that more load needs no more connections", async () => {
    const { store, watch } = watched(pools.open({ max: 64 }));
    const sessions = Array.from({ length: 300 }, () => newSession());
    await Promise.all(
      sessions.map(async (session) => {
        const { id } = session;
        expect(await store.create(session)).toBe("created");
        for (let use = 0; use < 5; use += 1) {
          expect(await store.read(id)).toMatchObject({ id });
          expect(await store.update(id, {})).toBe("updated");
        }
        expect(await store.update(id, { data: id })).toBe("updated");
        expect(await store.read(id)).toMatchObject({ data: id, version: 2 });
        expect(await store.revoke(id)).toBe(true);
      }),
    );
    expect(watch.statements.length).toBeLessThan((300 * 14) / 10);
    // One each for creates, touches, updates and revokes, two for reads, and two for calls made again alone.
    expect(watch.mostConnections).toBeLessThanOrEqual(8);
  });

  test("revokeUser ends 3,500 sessions of a user in batches of 1,000, without reading them", async () => {
    const { store, watch } = watched();
    await insertSessions(pools.open({ max: 1 }), table, "many", 3500, { userId: "'many'" });
    const authenticatedUpTo = await store.now();
    watch.statements.length = 0;
    expect(await store.revokeUser("many", { except: "many 17", authenticatedUpTo })).toBe(3499);
    expect(watch.statements).toHaveLength(5);
    expect((await store.listUser("many")).map(({ id }) => id)).toEqual(["many 17"]);
  });

  test("concurrent reads of one session share one key of one statement, and so do concurrent touches", async () => {
    const { store, watch } = watched();
    const session = newSession();
    const { id } = session;
    await store.create(session);
    watch.statements.length = 0;
    const records = await Promise.all(Array.from({ length: 30 }, () => store.read(id)));
    expect(new Set(records.map((record) => record?.touchedAt)).size).toBe(1);
    await Promise.all(Array.from({ length: 30 }, () => store.update(id, {})));
    expect(watch.statements.map(({ values }) => values[0])).toEqual([[id], [id]]);
  });

  test("a call never shares a statement that was sent before the call was made, so it sees a revocation in between", async () => {
    let executed = 0;
    let held = Promise.resolve();
    const pool = intercepted(pools.open(), async (query, next) => {
      const reply = await next(query);
      executed += 1;
      await held;
      return reply;
    });
    const { store: other } = watched();
    const store = postgresStore(pool, { table });
    const [read, touched] = [newSession(), newSession()];
    await Promise.all([read, touched].map((session) => other.create(session)));
    const { promise, resolve: passReplies } = Promise.withResolvers<void>();
    held = promise;
    const early = [store.read(read.id), store.update(touched.id, {})];
    await expect.poll(() => executed).toBe(2);
    expect(await Promise.all([other.revoke(read.id), other.revoke(touched.id)])).toEqual([true, true]);
    const late = [store.read(read.id), store.update(touched.id, {})];
    passReplies();
    expect(await Promise.all(early)).toEqual([expect.objectContaining({ id: read.id }), "updated"]);
    expect(await Promise.all(late)).toEqual([null, "gone"]);
  });

  test("if the server refuses one row of a batch, only the call of that row fails", async () => {
    const { store, watch } = watched();
    const admin = pools.open({ max: 1 });
    await admin.query(`alter table ${table} add constraint no_poison check (data <> 'poison')`);
    const sessions = Array.from({ length: 40 }, () => newSession());
    const poisoned = sessions[17]!;
    const created = await Promise.allSettled(
      sessions.map((session) =>
        store.create(session === poisoned ? { ...session, data: "poison" } : session),
      ),
    );
    expect(failures(created)).toEqual([17]);
    expect(watch.statements[0]!.values[0]).toHaveLength(40);

    await store.create(poisoned);
    const updated = await Promise.allSettled(
      sessions.map((session, index) => store.update(session.id, { data: index === 3 ? "poison" : "fine" })),
    );
    expect(failures(updated)).toEqual([3]);
    for (const [index, { id }] of sessions.entries()) {
      expect(await store.read(id)).toMatchObject(
        index === 3 ? { data: "{}", version: 1 } : { data: "fine", version: 2 },
      );
    }
    await admin.query(`alter table ${table} drop constraint no_poison`);
  });

  test("if one create of a batch waits for another transaction until statement_timeout, only that create fails", async () => {
    const { store } = watched(pools.open({ statement_timeout: 1000 }));
    const client = await pools.begin();
    const sessions = Array.from({ length: 20 }, () => newSession());
    await store.with(client).create(sessions[5]!);
    const created = await Promise.allSettled(sessions.map((session) => store.create(session)));
    expect(failures(created)).toEqual([5]);
    await end(client, "commit");
  });

  test("if every statement times out, a batch of 200 calls fails without a timeout for each call", async () => {
    const { store, watch } = watched(pools.open({ statement_timeout: 1000 }));
    const client = await pools.begin();
    await client.query(`lock table ${table} in access exclusive mode`);
    const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => store.create(newSession())));
    expect(failures(outcomes)).toHaveLength(200);
    expect(watch.statements.length).toBeLessThan(20);
    await end(client, "rollback");
    expect(await store.create(newSession())).toBe("created");
  });

  for (const isolation of ["repeatable read", "serializable"]) {
    test(`a serialization failure under ${isolation} fails no call`, async () => {
      const options = `-c default_transaction_isolation=${isolation.replace(" ", "\\ ")}`;
      const { store, watch } = watched(pools.open({ options }));
      const sessions = Array.from({ length: 9 }, () => newSession());
      const [contested] = sessions;
      const other = await pools.begin();
      await store.with(other).create(contested!);
      const creating = Promise.all(sessions.map((session) => store.create(session)));
      await pools.lockWaits({ forGood: watch });
      await other.query("commit; begin");
      expect(await creating).toEqual(
        sessions.map((session) => (session === contested ? "taken" : "created")),
      );
      expect(watch.errors).toContain("40001");

      watch.errors.clear();
      await store.with(other).update(contested!.id, { data: "theirs" });
      const updating = Promise.all(sessions.map(({ id }) => store.update(id, { data: "ours" })));
      await pools.lockWaits({ forGood: watch });
      await end(other, "commit");
      expect(new Set(await updating)).toEqual(new Set(["updated"]));
      expect(await store.read(contested!.id)).toMatchObject({ data: "ours", version: 3 });
      expect(watch.errors).toContain("40001");
    });
  }

  test("if two processes update the same sessions under serializable, every update is applied", async () => {
    const serializable = { options: "-c default_transaction_isolation=serializable" };
    const stores = [
      watched(pools.open(serializable)).store,
      watched(pools.open(serializable)).store,
    ] as const;
    const sessions = Array.from({ length: 20 }, () => newSession());
    await Promise.all(sessions.map((session) => stores[0].create(session)));
    for (let round = 1; round <= 20; round += 1) {
      const writes = sessions.flatMap(({ id }) =>
        stores.map((store) => store.update(id, { data: `${round}` })),
      );
      expect(new Set(await Promise.all(writes))).toEqual(new Set(["updated"]));
    }
    for (const { id } of sessions) expect(await stores[0].read(id)).toMatchObject({ version: 41 });
  });

  test('of concurrent updates with the same ifVersion in two processes, one returns "updated" and all others "conflict"', async () => {
    const [one, other] = [watched().store, watched().store];
    const session = newSession();
    const { id } = session;
    await one.create(session);
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        (index % 2 === 0 ? one : other).update(id, { data: `${index}`, ifVersion: 1 }),
      ),
    );
    expect(results.toSorted()).toEqual([...Array.from({ length: 39 }, () => "conflict"), "updated"]);
  });

  test("a pool of one connection is enough for 500 concurrent calls of a kind", async () => {
    const { store } = watched(pools.open({ max: 1 }));
    const sessions = Array.from({ length: 500 }, () => newSession());
    const resultsOf = async (call: (session: NewSession) => Promise<unknown>) =>
      new Set(await Promise.all(sessions.map(call)));
    expect(await resultsOf((session) => store.create(session))).toEqual(new Set(["created"]));
    expect(await resultsOf(({ id }) => store.update(id, {}))).toEqual(new Set(["updated"]));
    expect(await resultsOf(({ id }) => store.revoke(id))).toEqual(new Set([true]));
  });

  test("in a pool that the application saturates, both its queries and the store's calls succeed", async () => {
    const pool = pools.open({ max: 3 });
    const { store } = watched(pool);
    const busy = Array.from({ length: 60 }, () => pool.query("select pg_sleep(0.01)"));
    const sessions = Array.from({ length: 200 }, () => newSession());
    expect(new Set(await Promise.all(sessions.map((session) => store.create(session))))).toEqual(
      new Set(["created"]),
    );
    await Promise.all(busy);
  });

  test("if the pool has no free connection, all calls reject after a few times connectionTimeoutMillis, and the next call works", async () => {
    const pool = pools.open({ max: 1, connectionTimeoutMillis: 1000 });
    const { store, watch } = watched(pool);
    const client = await pool.connect();
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => store.create(newSession())));
    expect(failures(outcomes)).toHaveLength(50);
    expect(watch.connects).toBeLessThanOrEqual(4);
    client.release();
    expect(await store.create(newSession())).toBe("created");
  });

  for (const code of ["XX001", "XX002"]) {
    test(`a damaged page or index (${code}) fails only the call that meets it, and the error does not quote the server`, async () => {
      const released: unknown[] = [];
      const pool = fakePool(
        async ({ values = [] }) => {
          const ids = values.flat() as string[];
          if (ids.includes("damaged")) {
            throw Object.assign(new Error("damaged: secret"), { code, severity: "ERROR" });
          }
          return { rows: ids.map((id) => [null, id, null]) };
        },
        (destroy) => released.push(destroy),
      );
      const store = postgresStore(pool);
      const outcomes = await Promise.allSettled(["one", "damaged", "two"].map((id) => store.read(id)));
      expect(failures(outcomes)).toEqual([1]);
      expect(outcomes).toMatchObject([{ value: null }, { reason: { cause: { code } } }, { value: null }]);
      expect(inspect(outcomes, { depth: null })).not.toContain("secret");
      // The two connections that met it, one for the batch and one for the call alone, are destroyed.
      expect(released.filter(Boolean)).toHaveLength(2);
    });
  }

  const noPrimary = {
    "refuses writes": async () => {
      throw Object.assign(new Error("read-only"), { code: "25006", severity: "ERROR" });
    },
    "reports that it is a standby": async () => ({ rows: [["standby", "id", null]] }),
  } satisfies Record<string, Parameters<typeof fakePool>[0]>;
  for (const [what, query] of Object.entries(noPrimary)) {
    test(`a connection to a server that ${what} is destroyed, because the next one may reach the primary`, async () => {
      const released: unknown[] = [];
      const store = postgresStore(fakePool(query, (destroy) => released.push(destroy)));
      await expect(store.read("id")).rejects.toThrow("primary");
      expect(released).toEqual([true]);
    });
  }

  test("under serializable, revokeUser ends a session that other transactions write without a break", async () => {
    const { store } = watched(pools.open({ options: "-c default_transaction_isolation=serializable" }));
    const userId = "contested";
    const session = newSession({ userId });
    const { id } = session;
    await store.create(session);
    let [holder, next] = [await pools.hold(id), await pools.begin()];
    const settled = new AbortController();
    const revoking = store.revokeUser(userId).finally(() => settled.abort());
    // The holder writes the row before it releases it, and the next transaction takes it immediately, so a
    // snapshot from before cannot be serialized.
    while (!settled.signal.aborted) {
      const held = next.query(`select from ${table} where id = $1 for update`, [id]);
      await pools.lockWaits({ statements: 2, signal: settled.signal });
      await holder.query(`update ${table} set touched_at = touched_at where id = '${id}'; commit; begin`);
      await held;
      [holder, next] = [next, holder];
    }
    for (const client of [holder, next]) await end(client, "rollback");
    expect(await revoking).toBe(1);
  });
});

/** Returns the indexes of the calls that failed, each with a StoreError without session data. */
function failures(outcomes: readonly PromiseSettledResult<unknown>[]): number[] {
  return outcomes.flatMap((outcome, index) => {
    if (outcome.status === "fulfilled") return [];
    expect(outcome.reason).toBeInstanceOf(StoreError);
    expect(outcome.reason).not.toHaveProperty("code");
    expect(String(outcome.reason)).not.toMatch(/session \d|poison/);
    return [index];
  });
}
