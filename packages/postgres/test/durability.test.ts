import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { canStart, type OwnServer, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newSession } from "./sessions.ts";

const here = await canStart("postgres");
const ROUNDS = 20;

/** The acknowledged state of a session. After a failed call it is unknown whether the call happened. */
interface Acknowledged {
  readonly id: string;
  readonly userId: string;
  version: number;
  revoked: boolean;
  unsure: boolean;
}

here.describe("postgresStore, when the server is killed during calls", () => {
  let server: OwnServer;
  let pool: Pool;
  let store: PostgresStore;
  beforeAll(async () => {
    server = await startPostgres();
    pool = new Pool({ connectionString: server.url, connectionTimeoutMillis: 2000 });
    await migrate(pool);
    store = postgresStore(pool);
  });
  afterAll(async () => {
    await pool.end();
    await server[Symbol.asyncDispose]();
  });

  test(`loses no create, update of data, revoke or revokeUser that has resolved, in ${ROUNDS} kills`, async () => {
    let acknowledged = 0;

    for (let round = 0; round < ROUNDS; round += 1) {
      const sessions: Acknowledged[] = [];
      const killed = new AbortController();

      const work = async (worker: number): Promise<void> => {
        const userId = `user ${round} ${worker}`;
        for (let count = 0; !killed.signal.aborted; count += 1) {
          const session: Acknowledged = {
            id: `${userId} ${count}`,
            userId,
            version: 0,
            revoked: false,
            unsure: true,
          };
          sessions.push(session);
          const acknowledge = async <Result>(
            call: Promise<Result>,
            result: Result,
            state: Partial<Acknowledged>,
          ) => {
            session.unsure = true;
            expect(await call).toBe(result);
            Object.assign(session, state, { unsure: false });
            acknowledged += 1;
          };
          const { id } = session;
          await acknowledge(store.create(newSession({ id, userId, data: "1" })), "created", { version: 1 });
          await store.update(id, {});
          await acknowledge(store.update(id, { data: "2" }), "updated", { version: 2 });
          if (count % 3 === 0) await acknowledge(store.revoke(id), true, { revoked: true });
          if (count % 7 === 6) {
            const alive = sessions.filter((other) => other.userId === userId && !other.revoked);
            for (const other of alive) other.unsure = true;
            expect(await store.revokeUser(userId)).toBe(alive.length);
            for (const other of alive) Object.assign(other, { revoked: true, unsure: false });
          }
        }
      };
      const workers = Array.from({ length: 8 }, (_, worker) => work(worker).catch((error: unknown) => error));
      await sleep(30 + Math.random() * 100);
      await server.kill();
      killed.abort();
      const errors = await Promise.all(workers);
      await server.start();
      for (const error of errors) if (error !== undefined) expect(error).toBeInstanceOf(StoreError);

      const records = await Promise.all(sessions.map(({ id }) => store.read(id)));
      for (const [index, session] of sessions.entries()) {
        const { revoked, version, unsure } = session;
        const record = records[index] ?? null;
        if (revoked) expect(record, "a revoked session").toBeNull();
        else if (!unsure)
          expect({ version: record?.version, data: record?.data }).toEqual({
            version,
            data: String(version),
          });
        else if (record !== null)
          expect(record.version, "at least what was acknowledged").toBeGreaterThanOrEqual(version);
      }
      const revoked = sessions.filter((session) => session.revoked);
      const createdAgain = await Promise.all(revoked.map(({ id }) => store.create(newSession({ id }))));
      expect(createdAgain, "creates of revoked ids").toEqual(revoked.map(() => "taken"));
    }
    expect(acknowledged).toBeGreaterThan(ROUNDS * 10);
    console.log(`${acknowledged} acknowledged writes over ${ROUNDS} kills`);
  }, 900_000);

  test("loses no fence that has been set, even if the user had no session", async () => {
    const authenticatedAt = await store.now();
    await store.create(newSession({ userId: "ada", authenticatedAt }));
    for (const [userId, ended] of [
      ["ada", 1],
      ["bob", 0],
    ] as const) {
      expect(await store.revokeUser(userId)).toBe(ended);
      await server.kill();
      await server.start();
      expect(await store.create(newSession({ userId, authenticatedAt }))).toBe("fenced");
    }
  });
});
