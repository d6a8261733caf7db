import { randomBytes } from "node:crypto";
import { migrate, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { expect, test } from "vitest";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;
const SESSIONS = 10_000;

postgres.describe("bytes on the disk for a session", () => {
  // What no compression makes smaller, as encrypted data is. Ten sessions a user.
  test.each([
    { size: 200, atMost: 700 },
    { size: 900, atMost: 1600 },
    { size: 4000, atMost: 6500 },
  ])(
    "with $size bytes of data are at most $atMost, its indexes included, and far fewer once revoked",
    async ({ size, atMost }) => {
      const table = `sized_${size}_${process.pid}`;
      const pool = pools.open();
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
        const { rows } = await pool.query<{ bytes: string }>("select pg_total_relation_size($1) as bytes", [
          table,
        ]);
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
