import { type MixUp, testStore } from "@tenure/conformance";
import { type PostgresPool, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import { Pool, type PoolConfig } from "pg";
import { Pool as OldPool } from "pg-8.11";
import { describe, test } from "vitest";
import { intercepted } from "./intercepted-pool.ts";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

/** Opens a store on a pool of each version of pg. */
function onBoth(config: PoolConfig, wrap = (pool: PostgresPool): PostgresPool => pool) {
  const both = [new Pool(config), new OldPool(config)];
  return inTurn(both.map((pool) => postgresStore(wrap(pool), { table: pools.table })));
}

postgres.describe(`postgresStore on ${postgres.how}`, () => {
  testStore(
    { describe, test },
    {
      name: "the newest pg and pg 8.11 in turn",
      open: async () => {
        await pools.store();
        return onBoth({ connectionString: postgres.url });
      },
      unreachable: (address) => onBoth({ ...address, connectionTimeoutMillis: 500 }),
      mixedUp: async (mixUp) => {
        await pools.store();
        return onBoth({ connectionString: postgres.url }, (pool) => mixingUp(pool, mixUp));
      },
    },
  );
});

function mixingUp(pool: PostgresPool, mixUp: MixUp): PostgresPool {
  return intercepted(pool, async (query, next) => {
    if (mixUp.kind === "another") return next({ ...query, values: mixUp.swapped(query.values ?? []) });
    const { rows } = await next(query);
    return { rows: rows.map(() => mixUp.value) as unknown[][] };
  });
}
