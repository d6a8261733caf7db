import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { migrate, postgresStore } from "@tenure/postgres";
import { canStart, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { expect, test } from "vitest";

const here = await canStart("postgres");
const HOUR = 3_600_000;
const ROUNDS = 20;

/** The acknowledged state of a session. After a failed call it is unknown whether the call happened. */
interface Acknowledged {
  readonly id: string;
  readonly userId: string;
  version: number;
  revoked: boolean;
  unsure: boolean;
}

here.describe("postgresStore, when the server is killed in the middle of everything", () => {
  test(`every create, update of data, revoke and revokeUser that was acknowledged is there, ${ROUNDS} times`, async () => {
    await using server = await startPostgres();
    const pool = new Pool({ connectionString: server.url, connectionTimeoutMillis: 2000 });
    await migrate(pool);
    const store = postgresStore(pool);
    let acknowledged = 0;

    for (let round = 0; round < ROUNDS; round += 1) {
      const sessions: Acknowledged[] = [];
      const killed = new AbortController();

      const live = async (worker: number): Promise<void> => {
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
          const acknowledge = async <Answer>(
            call: Promise<Answer>,
            answer: Answer,
            what: Partial<Acknowledged>,
          ) => {
            session.unsure = true;
            expect(await call).toBe(answer);
            Object.assign(session, what, { unsure: false });
            acknowledged += 1;
          };
          const { id } = session;
          await acknowledge(store.create({ id, userId, data: "1", idle: HOUR, lifetime: HOUR }), "created", {
            version: 1,
          });
          await store.update(id, {});
          await acknowledge(store.update(id, { data: "2" }), "updated", { version: 2 });
          if (count % 3 === 0) await acknowledge(store.revoke(id), true, { revoked: true });
          if (count % 7 === 6) {
            const theirs = sessions.filter((one) => one.userId === userId && !one.revoked);
            for (const one of theirs) one.unsure = true;
            expect(await store.revokeUser(userId)).toBe(theirs.length);
            for (const one of theirs) Object.assign(one, { revoked: true, unsure: false });
          }
        }
      };
      const lives = Array.from({ length: 8 }, (_, worker) => live(worker).catch((error: unknown) => error));
      await sleep(30 + Math.random() * 100);
      await server.kill();
      killed.abort();
      for (const ending of await Promise.all(lives))
        if (ending !== undefined) expect(ending).toBeInstanceOf(StoreError);
      await server.start();

      const records = await Promise.all(sessions.map(({ id }) => store.read(id)));
      for (const [index, session] of sessions.entries()) {
        const { revoked, version, unsure } = session;
        const found = records[index] ?? null;
        if (revoked) expect(found, "revoked").toBeNull();
        else if (!unsure)
          expect({ version: found?.version, data: found?.data }).toEqual({ version, data: String(version) });
        else if (found !== null)
          expect(found.version, "at least what was acknowledged").toBeGreaterThanOrEqual(version);
      }
      const ended = sessions.filter(({ revoked }) => revoked);
      const again = ended.map(({ id }) =>
        store.create({ id, userId: null, data: "", idle: HOUR, lifetime: HOUR }),
      );
      expect(new Set(await Promise.all(again)).has("created"), "a tombstone is there").toBe(false);
    }
    expect(acknowledged).toBeGreaterThan(ROUNDS * 10);
    console.log(`${acknowledged} acknowledged writes over ${ROUNDS} kills`);
    await pool.end();
  }, 900_000);

  test("a fence that was acknowledged is there, also if the user had no session", async () => {
    await using server = await startPostgres();
    const pool = new Pool({ connectionString: server.url, connectionTimeoutMillis: 2000 });
    await migrate(pool);
    const store = postgresStore(pool);
    const login = { idle: HOUR, lifetime: HOUR, data: "", authenticatedAt: await store.now() };
    await store.create({ ...login, id: "of ada", userId: "ada" });
    for (const [userId, ended] of [
      ["ada", 1],
      ["bob", 0],
    ] as const) {
      expect(await store.revokeUser(userId)).toBe(ended);
      await server.kill();
      await server.start();
      expect(await store.create({ ...login, id: `of ${userId} later`, userId })).toBe("fenced");
    }
    await pool.end();
  });
});
