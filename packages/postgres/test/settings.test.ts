import { testStore } from "@tenure/conformance";
import { migrate, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import type { PoolConfig } from "pg";
import { beforeAll, describe, test } from "vitest";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

/** Names that must be quoted. */
const name = { schema: `Ä "schema" ${process.pid}`, table: 'the "sessions"; of $1 ' };

/** A time zone east of UTC, SQL dates, binary results and the application's own type parsers. */
const repeatableRead: PoolConfig & { readonly binary: boolean } = {
  options:
    "-c default_transaction_isolation=repeatable\\ read -c TimeZone=Asia/Kathmandu -c DateStyle=SQL,DMY -c IntervalStyle=iso_8601 -c bytea_output=escape -c extra_float_digits=-15",
  binary: true,
  types: { getTypeParser: () => () => "not what it was" },
};

/** A time zone west of UTC, German dates and commits that do not wait for the disk. */
const serializable: PoolConfig = {
  options:
    "-c default_transaction_isolation=serializable -c TimeZone=America/St_Johns -c DateStyle=German -c IntervalStyle=sql_standard -c synchronous_commit=off",
};

// Concurrent, because some sentences of the suite wait.
postgres.describe(
  "postgresStore in turn under repeatable read, with binary results, and under serializable",
  { concurrent: true },
  () => {
    beforeAll(() => migrate(pools.open(), name));

    testStore(
      { describe, test },
      {
        open: () =>
          inTurn([repeatableRead, serializable].map((config) => postgresStore(pools.open(config), name))),
        unreachable: null,
        mixedUp: null,
      },
    );
  },
);
