import { type MixUp, testStore } from "@tenure/conformance";
import { type PostgresPool, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { Pool } from "pg";
import { Pool as OldPool } from "pg-8.11";
import { describe, test } from "vitest";
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
  return {
    on: (event, listener) => pool.on(event, listener),
    async connect() {
      const client = await pool.connect();
      return {
        on: (event, listener) => client.on(event, listener),
        removeListener: (event, listener) => client.removeListener(event, listener),
        release: (destroy) => client.release(destroy),
        async query(query) {
          const { values = [] } = query;
          if (mixUp.kind === "another") return client.query({ ...query, values: mixUp.swapped(values) });
          const { rows } = await client.query(query);
          return { rows: rows.map(() => mixUp.value) as unknown[][] };
        },
      };
    },
  };
}
