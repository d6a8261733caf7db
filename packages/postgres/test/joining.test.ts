import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { StoreError } from "@tenure/core";
import { type PostgresPool, postgresStore } from "@tenure/postgres";
import { faultyProxy, server } from "@tenure/servers";
import type { Pool, PoolClient, PoolConfig } from "pg";
import { beforeAll, expect, test } from "vitest";
import { fakePool, intercepted } from "./intercepted-pool.ts";
import { poolsOn } from "./pools.ts";
import { HOUR, newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const { table } = pools;

postgres.describe("postgresStore, concurrent calls", () => {
  beforeAll(() => pools.store());

  const watched = (pool: Pool = pools.open()) => {
    const watch = watching(pool);
    return { store: postgresStore(watch.pool, { table }), watch };
  };

  /** Begins a transaction on another connection. */
  const begun = async (config: PoolConfig = {}): Promise<PoolClient> => {
    const client = await pools.open({ max: 1, ...config }).connect();
    await client.query("begin");
    return client;
  };

  /** Waits until this many statements on the table wait for a lock. */
  const waiting = async (statements: number): Promise<void> => {
    const admin = pools.open({ max: 1 });
    for (;;) {
      const { rows } = await admin.query<{ waiting: number }>(
        "select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1",
        [table],
      );
      if (rows[0]!.waiting >= statements) return;
      await sleep(10);
    }
  };

  /** Waits until a statement without `lock_timeout` waits: only the release of the lock ends its wait. */
  const waitingForGood = async (watch: Watch): Promise<void> => {
    while (!watch.errors.has("55P03")) await sleep(10);
    await sleep(500);
    await waiting(1);
  };

  test("a call that is alone is one plain named statement, and revokeUser is two, or three if there is nothing to end", async () => {
    const { store, watch } = watched();
    const { id } = newSession({ id: "alone" });
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
      create: await statementsOf(() => store.create(newSession({ id }))),
      "create for a user": await statementsOf(() =>
        store.create(newSession({ id: "of ada", userId: "ada", authenticatedAt: authenticatedUpTo })),
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
    // The reads leave in two turns: the server works on one half while this process decodes the other.
    { views: 64, statements: 3 },
  ])(
    "$views page views, of which a fifth touch, are $statements statements",
    async ({ views, statements }) => {
      const { store, watch } = watched();
      const sessions = Array.from({ length: views }, () => newSession());
      await Promise.all(sessions.map((one) => store.create(one)));
      watch.statements.length = 0;
      await Promise.all(
        sessions.map(({ id }, index) =>
          Promise.all([store.read(id), index % 5 === 0 ? store.update(id, {}) : undefined]),
        ),
      );
      expect(watch.statements).toHaveLength(statements);
    },
  );

  test("calls that wait join the next statement of their kind", async () => {
    const { store, watch } = watched();
    const sessions = Array.from({ length: 300 }, () => newSession());
    await Promise.all(
      sessions.map(async (one) => {
        const { id } = one;
        expect(await store.create(one)).toBe("created");
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
  });

  test("a user with 3,500 sessions is logged out by batches of 1,000, and none of them is read", async () => {
    const { store, watch } = watched();
    await pools.open({ max: 1 }).query(
      `insert into ${table} (id, user_id, authenticated_at, data, version, created_at, idle_timeout, ends_at, touched_at, expires_at)
       select 'many ' || i, 'many', now(), 'x', 1, now(), '1 hour', now() + interval '1 hour', now(), now() + interval '1 hour' from generate_series(1, 3500) i`,
    );
    const authenticatedUpTo = await store.now();
    watch.statements.length = 0;
    expect(await store.revokeUser("many", { except: "many 17", authenticatedUpTo })).toBe(3499);
    expect(watch.statements).toHaveLength(5);
    expect((await store.listUser("many")).map(({ id }) => id)).toEqual(["many 17"]);
  });

  test("reads and touches of one session share one row of one statement", async () => {
    const { store, watch } = watched();
    const one = newSession();
    await store.create(one);
    watch.statements.length = 0;
    const records = await Promise.all(Array.from({ length: 30 }, () => store.read(one.id)));
    expect(new Set(records.map((record) => record?.touchedAt)).size).toBe(1);
    await Promise.all(Array.from({ length: 30 }, () => store.update(one.id, {})));
    expect(watch.statements.map(({ values }) => values[0])).toEqual([[one.id], [one.id]]);
  });

  test("no call shares a statement that was sent before it was made: what was revoked meanwhile is dead", async () => {
    await using proxy = await faultyProxy(postgres.url);
    const { store } = watched(pools.open({ connectionString: proxy.url }));
    const { store: other } = watched();
    const [read, touched] = [newSession(), newSession()];
    await Promise.all([read, touched].map((one) => store.create(one)));
    await Promise.all([store.read(read.id), store.update(touched.id, {})]);
    proxy.delayReplies(500);
    // The server has executed these long before their replies arrive.
    const early = [store.read(read.id), store.update(touched.id, {})];
    await sleep(200);
    expect(await Promise.all([other.revoke(read.id), other.revoke(touched.id)])).toEqual([true, true]);
    const late = [store.read(read.id), store.update(touched.id, {})];
    expect(await Promise.all(early)).toEqual([expect.objectContaining({ id: read.id }), "updated"]);
    expect(await Promise.all(late)).toEqual([null, "gone"]);
  });

  test("a row that the server refuses fails its own caller alone, whatever else is in the batch", async () => {
    const { store, watch } = watched();
    const admin = pools.open({ max: 1 });
    await admin.query(`alter table ${table} add constraint no_poison check (data <> 'poison')`);
    const sessions = Array.from({ length: 40 }, () => newSession());
    const poisoned = sessions[17]!;
    const created = await Promise.allSettled(
      sessions.map((one) => store.create(one === poisoned ? { ...one, data: "poison" } : one)),
    );
    expect(await failures(created)).toEqual([17]);
    expect(watch.statements[0]!.values[0]).toHaveLength(40);

    await store.create(poisoned);
    const updated = await Promise.allSettled(
      sessions.map((one, index) => store.update(one.id, { data: index === 3 ? "poison" : "fine" })),
    );
    expect(await failures(updated)).toEqual([3]);
    for (const [index, { id }] of sessions.entries()) {
      expect(await store.read(id)).toMatchObject(
        index === 3 ? { data: "{}", version: 1 } : { data: "fine", version: 2 },
      );
    }
    await admin.query(`alter table ${table} drop constraint no_poison`);
  });

  test("a create that waits for another's transaction until statement_timeout fails alone", async () => {
    const { store } = watched(pools.open({ statement_timeout: 300 }));
    const client = await begun();
    const sessions = Array.from({ length: 20 }, () => newSession());
    await store.with(client).create(sessions[5]!);
    const created = await Promise.allSettled(sessions.map((one) => store.create(one)));
    expect(await failures(created)).toEqual([5]);
    await client.query("commit");
    client.release();
  });

  test("where everything times out, a batch does not take a timeout for each of its calls", async () => {
    const { store, watch } = watched(pools.open({ statement_timeout: 200 }));
    const client = await begun();
    await client.query(`lock table ${table} in access exclusive mode`);
    const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => store.create(newSession())));
    expect(await failures(outcomes)).toHaveLength(200);
    expect(watch.statements.length).toBeLessThan(20);
    await client.query("rollback");
    client.release();
    expect(await store.create(newSession())).toBe("created");
  });

  for (const isolation of ["repeatable read", "serializable"]) {
    test(`a serialization failure under ${isolation} fails nobody`, async () => {
      const options = `-c default_transaction_isolation=${isolation.replace(" ", "\\ ")}`;
      const { store, watch } = watched(pools.open({ options }));
      const sessions = Array.from({ length: 9 }, () => newSession());
      const [contested] = sessions;
      const stranger = await begun();
      await store.with(stranger).create(contested!);
      const creating = Promise.all(sessions.map((one) => store.create(one)));
      await waitingForGood(watch);
      await stranger.query("commit; begin");
      expect(await creating).toEqual(sessions.map((one) => (one === contested ? "taken" : "created")));
      expect(watch.errors).toContain("40001");

      watch.errors.clear();
      await store.with(stranger).update(contested!.id, { data: "theirs" });
      const updating = Promise.all(sessions.map(({ id }) => store.update(id, { data: "ours" })));
      await waitingForGood(watch);
      await stranger.query("commit");
      stranger.release();
      expect(new Set(await updating)).toEqual(new Set(["updated"]));
      expect(await store.read(contested!.id)).toMatchObject({ data: "ours", version: 3 });
      expect(watch.errors).toContain("40001");
    });
  }

  test("two processes that write the same sessions under serializable lose no write", async () => {
    const serializable = { options: "-c default_transaction_isolation=serializable" };
    const [one, other] = [watched(pools.open(serializable)).store, watched(pools.open(serializable)).store];
    const sessions = Array.from({ length: 20 }, () => newSession());
    await Promise.all(sessions.map((each) => one.create(each)));
    for (let round = 1; round <= 20; round += 1) {
      const writes = sessions.flatMap(({ id }) =>
        [one, other].map((store) => store.update(id, { data: `${round}` })),
      );
      expect(new Set(await Promise.all(writes))).toEqual(new Set(["updated"]));
    }
    for (const { id } of sessions) expect(await one.read(id)).toMatchObject({ version: 41 });
  });

  test("of concurrent updates with one version, from two processes, one wins and none fails", async () => {
    const [one, other] = [watched().store, watched().store];
    const { id } = newSession();
    await one.create(newSession({ id }));
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        (index % 2 === 0 ? one : other).update(id, { data: `${index}`, ifVersion: 1 }),
      ),
    );
    expect(results.toSorted()).toEqual([...Array.from({ length: 39 }, () => "conflict"), "updated"]);
  });

  test("a pool of one connection serves any number of calls", async () => {
    const { store, watch } = watched(pools.open({ max: 1 }));
    const sessions = Array.from({ length: 500 }, () => newSession());
    await Promise.all(sessions.map((one) => store.create(one)));
    await Promise.all(sessions.map(({ id }) => store.update(id, {})));
    expect((await Promise.all(sessions.map(({ id }) => store.revoke(id)))).every(Boolean)).toBe(true);
    expect(watch.most).toBe(1);
  });

  test("in a pool that the application itself saturates, calls are answered and the application's as well", async () => {
    const pool = pools.open({ max: 3 });
    const { store } = watched(pool);
    const busy = Array.from({ length: 60 }, () => pool.query("select pg_sleep(0.01)"));
    const sessions = Array.from({ length: 200 }, () => newSession());
    expect(new Set(await Promise.all(sessions.map((one) => store.create(one))))).toEqual(
      new Set(["created"]),
    );
    await Promise.all(busy);
    expect(pool.totalCount).toBeLessThanOrEqual(3);
  });

  test("a pool that gives no connection fails the calls within its own limit, and the next call works", async () => {
    const pool = pools.open({ max: 1, connectionTimeoutMillis: 1000 });
    const { store, watch } = watched(pool);
    const taken = await pool.connect();
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => store.create(newSession())));
    expect(await failures(outcomes)).toHaveLength(50);
    expect(watch.attempts).toBeLessThanOrEqual(4);
    taken.release();
    expect(await store.create(newSession())).toBe("created");
  });

  for (const code of ["XX001", "XX002"]) {
    test(`a damaged page or index (${code}) fails only the call that meets it, which the error does not quote`, async () => {
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
      expect(await failures(outcomes)).toEqual([1]);
      expect(outcomes).toMatchObject([{ value: null }, { reason: { cause: { code } } }, { value: null }]);
      expect(inspect(outcomes, { depth: null })).not.toContain("secret");
      // The connections that met it, once for the batch and once for the call alone, are not kept.
      expect(released.filter(Boolean)).toHaveLength(2);
    });
  }

  const noPrimary = {
    "refuses to write": async () => {
      throw Object.assign(new Error("read-only"), { code: "25006", severity: "ERROR" });
    },
    "says that it is a standby": async () => ({ rows: [["standby", "id", null]] }),
  } satisfies Record<string, Parameters<typeof fakePool>[0]>;
  for (const [what, query] of Object.entries(noPrimary)) {
    test(`a connection to a server that ${what} is used no more: the next may find the primary`, async () => {
      const released: unknown[] = [];
      const store = postgresStore(fakePool(query, (destroy) => released.push(destroy)));
      await expect(store.read("id")).rejects.toThrow("primary");
      expect(released).toEqual([true]);
    });
  }

  test("revokeUser under serializable ends a session that others write one after another", async () => {
    const { store } = watched(pools.open({ options: "-c default_transaction_isolation=serializable" }));
    const [userId, { id }] = ["contested", newSession()];
    await store.create(newSession({ id, userId }));
    let [holder, next] = [await begun(), await begun()];
    const hold = (client: PoolClient) => client.query(`select from ${table} where id = $1 for update`, [id]);
    await hold(holder);
    const settled = new AbortController();
    const revoking = store.revokeUser(userId).finally(() => settled.abort());
    // The statement that releases the row has written it, and another takes it immediately, so a snapshot
    // from before cannot be serialized.
    while (!settled.signal.aborted) {
      const held = hold(next);
      await Promise.race([waiting(2), revoking.catch(() => undefined)]);
      await holder.query(`update ${table} set touched_at = touched_at where id = '${id}'; commit; begin`);
      await held;
      [holder, next] = [next, holder];
    }
    for (const client of [holder, next]) {
      await client.query("rollback");
      client.release();
    }
    expect(await revoking).toBe(1);
  });
});

/** Returns the indexes of the calls that failed, each with a StoreError that reveals no session data. */
async function failures(outcomes: readonly PromiseSettledResult<unknown>[]): Promise<number[]> {
  return outcomes.flatMap((outcome, index) => {
    if (outcome.status === "fulfilled") return [];
    expect(outcome.reason).toBeInstanceOf(StoreError);
    expect(outcome.reason).not.toHaveProperty("code");
    expect(String(outcome.reason)).not.toMatch(/session \d|poison/);
    return [index];
  });
}

interface Watch {
  readonly pool: PostgresPool;
  readonly statements: { readonly name: string | undefined; readonly values: readonly unknown[] }[];
  /** SQLSTATEs of the server's replies. */
  readonly errors: Set<unknown>;
  /** The most connections that were checked out at the same time. */
  most: number;
  /** How often a connection was requested. */
  attempts: number;
}

function watching(pool: Pool): Watch {
  let out = 0;
  const between = intercepted(pool, async (query, next) => {
    watch.statements.push({ name: query.name, values: query.values ?? [] });
    try {
      return await next(query);
    } catch (error) {
      if (error instanceof Error && "code" in error) watch.errors.add(error.code);
      throw error;
    }
  });
  const watch: Watch = {
    statements: [],
    errors: new Set(),
    most: 0,
    attempts: 0,
    pool: {
      ...between,
      async connect() {
        watch.attempts += 1;
        const client = await between.connect();
        watch.most = Math.max(watch.most, (out += 1));
        return {
          ...client,
          release(destroy) {
            out -= 1;
            client.release(destroy);
          },
        };
      },
    },
  };
  return watch;
}
