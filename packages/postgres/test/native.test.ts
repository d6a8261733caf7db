import { testStore } from "@tenure/conformance";
import { postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import pg from "pg";
import { describe, test } from "vitest";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

// pg's own module for `import` leaves it out. `null` where pg-native, which is compiled at its installation, is not there.
const { native } = pg;
(native === null ? describe.skip : postgres.describe)("postgresStore on pg.native", () => {
  testStore(
    { describe, test },
    {
      open: async () => {
        await pools.store();
        return postgresStore(new native!.Pool({ connectionString: postgres.url }), { table: pools.table });
      },
      unreachable: null,
    },
  );
});
