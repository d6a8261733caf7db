import { type MixUp, testStore } from "@tenure/conformance";
import { type PostgresPool, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { Pool } from "pg";
import { Pool as OldPool } from "pg-8.11";
import { describe, test } from "vitest";
import { intercepted } from "./intercepted-pool.ts";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

postgres.describe(`postgresStore on ${postgres.how}`, () => {
  testStore(
    { describe, test },
    {
      open: () => pools.store(),
      unreachable: (address) => postgresStore(new Pool({ ...address, connectionTimeoutMillis: 500 })),
      mixedUp: async (mixUp) => {
        await pools.store();
        return postgresStore(mixingUp(pools.open(), mixUp), { table: pools.table });
      },
    },
  );

  testStore(
    { describe, test },
    {
      name: "pg 8.11",
      open: async () => {
        await pools.store();
        return postgresStore(new OldPool({ connectionString: postgres.url }), { table: pools.table });
      },
      unreachable: (address) => postgresStore(new OldPool({ ...address, connectionTimeoutMillis: 500 })),
      mixedUp: null,
    },
  );
});

function mixingUp(pool: Pool, mixUp: MixUp): PostgresPool {
  return intercepted(pool, async (query, next) => {
    if (mixUp.kind === "another") return next({ ...query, values: mixUp.swapped(query.values ?? []) });
    const { rows } = await next(query);
    return { rows: rows.map(() => mixUp.value) as unknown[][] };
  });
}
