import { randomBytes } from "node:crypto";
import { migrate, postgresStore } from "@tenure/postgres";
import { canStart, type OwnServer, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";

const here = await canStart("postgres");
const HOUR = 3_600_000;
const SESSIONS = 10_000;

here.describe("bytes on the disk for a session", () => {
  let own: OwnServer;
  let pool: Pool;
  beforeAll(async () => {
    // Needs its own server: a transaction that another test holds open would keep dead rows from a vacuum.
    own = await startPostgres({ settings: { fsync: "off" } });
    pool = new Pool({ connectionString: own.url });
  });
  afterAll(async () => {
    await pool.end();
    await own.stop();
  });

  // Incompressible, like encrypted data. Ten sessions per user.
  test.each([
    { size: 200, atMost: 700 },
    { size: 900, atMost: 1600 },
    { size: 4000, atMost: 6500 },
  ])(
    "with $size bytes of data are at most $atMost, its indexes included, and far fewer once revoked",
    async ({ size, atMost }) => {
      const table = `of_${size}_bytes`;
      await migrate(pool, { table });
      const store = postgresStore(pool, { table });
      const sessions = Array.from({ length: SESSIONS }, (_, index) => ({
        id: randomBytes(32).toString("base64url"),
        userId: `user-${index % (SESSIONS / 10)}`,
        data: randomBytes(size).toString("base64").slice(0, size),
        idle: HOUR,
        lifetime: HOUR,
      }));
      const bytes = async (): Promise<number> => {
        await pool.query(`vacuum full ${table}`);
        const { rows } = await pool.query<{ bytes: string }>(
          `select pg_total_relation_size('${table}') as bytes`,
        );
        return Math.round(Number(rows[0]!.bytes) / SESSIONS);
      };
      await Promise.all(sessions.map((session) => store.create(session)));
      const live = await bytes();
      await Promise.all(sessions.map(({ id }) => store.revoke(id)));
      const revoked = await bytes();
      console.log(`${size} bytes of data: ${live} bytes a session, ${revoked} a tombstone`);
      expect(live).toBeLessThan(atMost);
      expect(revoked).toBeLessThan(350);
    },
  );
});
