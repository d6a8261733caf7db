import { setTimeout as sleep } from "node:timers/promises";
import type { NewSession } from "@tenure/core";
import { type PostgresStore, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { beforeAll, expect, test } from "vitest";
import { type Watch, watching } from "./intercepted-pool.ts";
import { end, poolsOn } from "./pools.ts";
import { HOUR, newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
/** Idle timeout in milliseconds: long enough for the steps before it passes, even on a busy machine. */
const BRIEF = 2000;
/** Milliseconds between two instants that a test compares. */
const CLOCK_ADVANCES = 20;

postgres.describe("postgresStore, while another transaction has locked a session", () => {
  let watch: Watch;
  let store: PostgresStore;
  beforeAll(async () => {
    await pools.store();
    watch = watching(pools.open());
    store = postgresStore(watch.pool, { table: pools.table });
  });

  const createSession = async (given: Partial<NewSession> = {}): Promise<string> => {
    const session = newSession({ lifetime: 10 * HOUR, ...given });
    expect(await store.create(session)).toBe("created");
    return session.id;
  };

  /** Waits until a statement waits for the lock, and the session has expired by the server's clock. */
  const waitPastExpiry = async (id: string): Promise<void> => {
    await pools.lockWaits();
    while ((await store.read(id)) !== null) await sleep(5);
  };

  for (const how of ["commit", "rollback"] as const) {
    test(`a touch that waits for a ${how} restarts the idle timeout from when it was made`, async () => {
      const id = await createSession();
      const holder = await pools.hold(id);
      const touching = store.update(id, {});
      await pools.lockWaits({ forGood: watch });
      await sleep(CLOCK_ADVANCES);
      const released = await store.now();
      await end(holder, how);
      expect(await touching).toBe("updated");
      const { touchedAt, expiresAt } = (await store.read(id))!;
      expect(touchedAt).toBeLessThan(released);
      expect(expiresAt).toBe(touchedAt + HOUR);
    });

    test(`an update that waits past expiresAt for a ${how} returns "gone" and writes nothing`, async () => {
      const id = await createSession({ idle: BRIEF });
      const holder = await pools.hold(id);
      const updating = store.update(id, { data: "late", userId: "late", idle: HOUR });
      await waitPastExpiry(id);
      await end(holder, how);
      expect(await updating).toBe("gone");
      expect(await store.listUser("late")).toEqual([]);
    });

    test(`a revoke that waits past expiresAt for a ${how} returns false and leaves a tombstone`, async () => {
      const id = await createSession({ idle: BRIEF });
      const holder = await pools.hold(id);
      const revoking = store.revoke(id);
      await waitPastExpiry(id);
      await end(holder, how);
      expect(await revoking).toBe(false);
      expect(await store.create(newSession({ id }))).toBe("taken");
    });

    test(`a revokeUser that waits past expiresAt for a ${how} does not count the session`, async () => {
      const userId = `waiting for ${how}`;
      const id = await createSession({ idle: BRIEF, userId });
      const holder = await pools.hold(id);
      const revoking = store.revokeUser(userId);
      await waitPastExpiry(id);
      await end(holder, how);
      expect(await revoking).toBe(0);
    });
  }

  test("a touch that waits while the transaction touches the session does not set touchedAt back", async () => {
    const id = await createSession();
    const holder = await pools.hold(id);
    const touching = store.update(id, {});
    await pools.lockWaits({ forGood: watch });
    await sleep(CLOCK_ADVANCES);
    const inside = store.with(holder);
    expect(await inside.update(id, {})).toBe("updated");
    const touched = await inside.read(id);
    await end(holder, "commit");
    expect(await touching).toBe("updated");
    expect(await store.read(id)).toEqual(touched);
  });

  test('a touch that waits while the transaction revokes the session returns "gone"', async () => {
    const id = await createSession();
    const holder = await pools.hold(id);
    const touching = store.update(id, {});
    await pools.lockWaits({ forGood: watch });
    expect(await store.with(holder).revoke(id)).toBe(true);
    await end(holder, "commit");
    expect(await touching).toBe("gone");
    expect(await store.read(id)).toBeNull();
  });

  test("calls about other sessions do not wait, even if two sessions are locked", async () => {
    const [first, second, ...free] = await Promise.all(Array.from({ length: 40 }, () => createSession()));
    const holders = await Promise.all([pools.hold(first!), pools.hold(second!)]);
    const waiting = [store.update(first!, {}), store.update(second!, { data: "2" })];
    let settled = false;
    void Promise.all(waiting).then(() => (settled = true));
    for (const id of free) {
      expect(await store.update(id, {})).toBe("updated");
      expect(await store.update(id, { data: "new" })).toBe("updated");
    }
    expect(await Promise.all(free.map((id) => store.revoke(id)))).toEqual(free.map(() => true));
    expect(settled).toBe(false);
    for (const holder of holders) await end(holder, "rollback");
    expect(await Promise.all(waiting)).toEqual(["updated", "updated"]);
  });

  test("calls about other sessions do not wait in a pool of three connections either", async () => {
    const smallPool = watching(pools.open({ max: 3, connectionTimeoutMillis: 1000 }));
    const small = postgresStore(smallPool.pool, { table: pools.table });
    const [held, free] = [await createSession(), await createSession()];
    const holder = await pools.hold(held);
    const waiting = Promise.all([
      ...Array.from({ length: 5 }, () => small.update(held, {})),
      ...Array.from({ length: 5 }, () => small.update(held, { data: "new" })),
    ]);
    await pools.lockWaits({ forGood: smallPool });
    for (let round = 0; round < 20; round += 1) {
      expect(await small.read(free)).toMatchObject({ id: free });
      expect(await small.update(free, { data: "new" })).toBe("updated");
    }
    await end(holder, "rollback");
    expect(new Set(await waiting)).toEqual(new Set(["updated"]));
  });

  test("a call whose row is released does not wait for a call whose row stays locked", async () => {
    const [long, brief] = [await createSession(), await createSession()];
    const [longHolder, briefHolder] = [await pools.hold(long), await pools.hold(brief)];
    const waitingLong = store.update(long, {});
    const waitingBriefly = [store.update(brief, {}), store.read(brief)];
    await pools.lockWaits({ statements: 2, forGood: watch });
    await end(briefHolder, "rollback");
    expect(await Promise.all(waitingBriefly)).toEqual(["updated", expect.objectContaining({ id: brief })]);
    await end(longHolder, "rollback");
    expect(await waitingLong).toBe("updated");
  });

  test("creates succeed while a revoke waits, however many reads there are", async () => {
    const held = await createSession();
    const holder = await pools.hold(held);
    const revoking = store.revoke(held);
    await pools.lockWaits();
    const stopped = new AbortController();
    const reader = async (id: string) => {
      while (!stopped.signal.aborted) await store.read(id);
    };
    const reading = Array.from({ length: 64 }, (_, index) => reader(`reader ${index}`));
    for (let created = 0; created < 20; created += 1) await createSession();
    stopped.abort();
    await Promise.all(reading);
    await end(holder, "rollback");
    expect(await revoking).toBe(true);
  });

  test("however many calls wait for locked rows, all reject within a few times statement_timeout", async () => {
    const hurried = await pools.store({ statement_timeout: 1000 });
    const ids = await Promise.all(Array.from({ length: 40 }, () => createSession()));
    const holder = await pools.hold(...ids);
    const beganAt = performance.now();
    const outcomes = await Promise.allSettled(ids.map((id) => hurried.update(id, {})));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { name: "StoreError" } });
    // One after another, these calls would take 40 seconds.
    expect(performance.now() - beganAt).toBeLessThan(20_000);
    await end(holder, "rollback");
  });

  test("revokeUser ends the user's other sessions at once, and the locked one after its release", async () => {
    const userId = "of two";
    const [held, free] = [await createSession({ userId }), await createSession({ userId })];
    const holder = await pools.hold(held);
    const revoking = store.revokeUser(userId);
    while ((await store.read(free)) !== null) await sleep(5);
    await end(holder, "rollback");
    expect(await revoking).toBe(2);
    expect(await store.read(held)).toBeNull();
  });

  test("revokeUser spares a session that the transaction binds to another user", async () => {
    const [userId, other] = ["first user", "second user"];
    const id = await createSession({ userId });
    const client = await pools.begin();
    await store.with(client).update(id, { userId: other });
    const revoking = store.revokeUser(userId);
    await pools.lockWaits();
    await end(client, "commit");
    expect(await revoking).toBe(0);
    expect(await store.listUser(other)).toMatchObject([{ id }]);
  });

  test("revokeUser ends a session whose data the transaction changes", async () => {
    const userId = "of changed data";
    const id = await createSession({ userId });
    const client = await pools.begin();
    await store.with(client).update(id, { data: "changed" });
    const revoking = store.revokeUser(userId);
    await pools.lockWaits();
    await end(client, "commit");
    expect(await revoking).toBe(1);
    expect(await store.read(id)).toBeNull();
  });

  test("a login waits until a transaction that has revoked its user ends, and logins of other users do not wait", async () => {
    const userId = "revoked in a transaction";
    await createSession({ userId });
    const client = await pools.begin();
    const began = await store.now();
    expect(await store.with(client).revokeUser(userId)).toBe(1);
    const late = newSession({ userId });
    const logins = [store.create(newSession({ userId, authenticatedAt: began })), store.create(late)];
    expect(await store.create(newSession({ userId: "another" }))).toBe("created");
    await pools.lockWaits();
    expect(await store.read(late.id)).toBeNull();
    await end(client, "commit");
    expect(await Promise.all(logins)).toEqual(["fenced", "created"]);
  });

  test.each(["create", "binding"])(
    "revokeUser waits for a login by a %s that is not committed, and ends it",
    async (login) => {
      const session = newSession({ userId: `logging in by ${login}` });
      const { id } = session;
      const userId = session.userId!;
      if (login === "binding") await createSession({ id });
      const client = await pools.begin();
      const inside = store.with(client);
      if (login === "create") expect(await inside.create(session)).toBe("created");
      else expect(await inside.update(id, { userId })).toBe("updated");
      const revoking = store.revokeUser(userId, { authenticatedUpTo: await store.now() });
      await pools.lockWaits();
      await end(client, "commit");
      expect(await revoking).toBe(1);
      expect(await store.read(id)).toBeNull();
    },
  );

  test("a revoke waits for a create of its session that is not committed, and ends the session", async () => {
    const session = newSession();
    const client = await pools.begin();
    expect(await store.with(client).create(session)).toBe("created");
    const revoking = store.revoke(session.id);
    await pools.lockWaits();
    await end(client, "commit");
    expect(await revoking).toBe(true);
    expect(await store.read(session.id)).toBeNull();
  });
});
