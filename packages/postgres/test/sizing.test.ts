import { randomBytes } from "node:crypto";
import { migrate, postgresStore } from "@tenure/postgres";
import { canStart, type OwnServer, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newSession } from "./sessions.ts";

const here = await canStart("postgres");
const SESSIONS = 10_000;
const MAX_TOMBSTONE = 350;

here.describe("on the disk, indexes included", () => {
  let own: OwnServer;
  let pool: Pool;
  beforeAll(async () => {
    // Needs its own server: a transaction that another test holds open would keep dead rows from a vacuum.
    own = await startPostgres({ settings: { fsync: "off" } });
    pool = new Pool({ connectionString: own.url });
  });
  afterAll(async () => {
    await pool.end();
    await own[Symbol.asyncDispose]();
  });

  // Incompressible, like encrypted data. Ten sessions per user.
  test.each([
    { size: 200, max: 700 },
    { size: 900, max: 1600 },
    { size: 4000, max: 6500 },
  ])(
    `a session with $size bytes of data takes less than $max bytes, and its tombstone less than ${MAX_TOMBSTONE}`,
    async ({ size, max }) => {
      const table = `of_${size}_bytes`;
      await migrate(pool, { table });
      const store = postgresStore(pool, { table });
      const sessions = Array.from({ length: SESSIONS }, (_, index) =>
        newSession({
          id: randomBytes(32).toString("base64url"),
          userId: `user-${index % (SESSIONS / 10)}`,
          data: randomBytes(size).toString("base64").slice(0, size),
        }),
      );
      const bytesPerSession = async (): Promise<number> => {
        await pool.query(`vacuum full ${table}`);
        const { rows } = await pool.query<{ bytes: string }>(
          `select pg_total_relation_size('${table}') as bytes`,
        );
        return Math.round(Number(rows[0]!.bytes) / SESSIONS);
      };
      await Promise.all(sessions.map((session) => store.create(session)));
      const live = await bytesPerSession();
      await Promise.all(sessions.map(({ id }) => store.revoke(id)));
      const revoked = await bytesPerSession();
      console.log(`${size} bytes of data: ${live} bytes a session, ${revoked} a tombstone`);
      expect(live).toBeLessThan(max);
      expect(revoked).toBeLessThan(MAX_TOMBSTONE);
    },
  );
});
