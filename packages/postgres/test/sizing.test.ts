import { randomBytes } from "node:crypto";
import { migrate, postgresStore } from "@tenure/postgres";
import { canStart, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { expect, test } from "vitest";

const here = await canStart("postgres");
const HOUR = 3_600_000;
const SESSIONS = 10_000;

here.describe("bytes on the disk for a session", () => {
  // What no compression makes smaller, as encrypted data is. Ten sessions a user.
  test.each([
    { size: 200, atMost: 700 },
    { size: 900, atMost: 1600 },
    { size: 4000, atMost: 6500 },
  ])(
    "with $size bytes of data are at most $atMost, its indexes included, and far fewer once revoked",
    async ({ size, atMost }) => {
      // Of its own: a transaction that another test holds open keeps dead rows from a vacuum.
      await using own = await startPostgres({ settings: { fsync: "off" } });
      const pool = new Pool({ connectionString: own.url });
      await migrate(pool);
      const store = postgresStore(pool);
      const sessions = Array.from({ length: SESSIONS }, (_, index) => ({
        id: randomBytes(32).toString("base64url"),
        userId: `user-${index % (SESSIONS / 10)}`,
        data: randomBytes(size).toString("base64").slice(0, size),
        idle: HOUR,
        lifetime: HOUR,
      }));
      const bytes = async (): Promise<number> => {
        await pool.query("vacuum full tenure_sessions");
        const { rows } = await pool.query<{ bytes: string }>(
          "select pg_total_relation_size('tenure_sessions') as bytes",
        );
        return Math.round(Number(rows[0]!.bytes) / SESSIONS);
      };
      await Promise.all(sessions.map((session) => store.create(session)));
      const live = await bytes();
      await Promise.all(sessions.map(({ id }) => store.revoke(id)));
      const revoked = await bytes();
      console.log(`${size} bytes of data: ${live} bytes a session, ${revoked} a tombstone`);
      await pool.end();
      expect(live).toBeLessThan(atMost);
      expect(revoked).toBeLessThan(350);
    },
  );
});
