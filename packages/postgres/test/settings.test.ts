import { testStore } from "@tenure/conformance";
import { migrate, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { types } from "pg";
import { beforeAll, describe, test } from "vitest";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

/** Settings that a server, a role or an application may have, and table names that people choose. */
const settings = {
  "repeatable read, a time zone east of UTC, SQL dates, binary results and the application's own type parsers":
    {
      options:
        "-c default_transaction_isolation=repeatable\\ read -c TimeZone=Asia/Kathmandu -c DateStyle=SQL,DMY -c IntervalStyle=iso_8601 -c bytea_output=escape -c extra_float_digits=-15",
      name: { schema: `Ä "schema" ${process.pid}`, table: 'the "sessions"; of $1 ' },
      binary: true,
      types: { getTypeParser: () => () => "not what it was" } as unknown as typeof types,
    },
  "serializable, a time zone west of UTC, German dates and synchronous_commit off": {
    options:
      "-c default_transaction_isolation=serializable -c TimeZone=America/St_Johns -c DateStyle=German -c IntervalStyle=sql_standard -c synchronous_commit=off",
    name: { schema: `select ${process.pid}`, table: "User" },
  },
};

for (const [title, { name, ...config }] of Object.entries(settings)) {
  // Concurrent, because some sentences of the suite wait.
  postgres.describe(`postgresStore under ${title}`, { concurrent: true }, () => {
    beforeAll(() => migrate(pools.open(config), name));

    testStore(
      { describe, test },
      { open: () => postgresStore(pools.open(config), name), unreachable: null, mixedUp: null },
    );
  });
}
