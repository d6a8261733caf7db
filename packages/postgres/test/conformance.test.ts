import { testStore } from "@tenure/conformance";
import { postgresStore } from "@tenure/postgres";
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
    },
  );
});
