import { testStore } from "@tenure/conformance";
import { migrate, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const postgres = await server("postgres");
const table = `native_${process.pid}`;
const opened: pg.Pool[] = [];

// pg's ES module does not export `native`. It is `null` if pg-native, which is compiled at installation, is
// missing.
const { native } = pg;
const required = (process.env["REQUIRE_BACKENDS"] ?? "").split(",").includes("pg-native");

test.runIf(required)("pg-native is installed if REQUIRE_BACKENDS names it", () => {
  expect(native).not.toBeNull();
});

(native === null ? describe.skip : postgres.describe)("postgresStore on pg.native", () => {
  const open = (): pg.Pool => {
    const pool = new native!.Pool({ connectionString: postgres.url });
    opened.push(pool);
    return pool;
  };
  beforeAll(async () => {
    await Promise.all([migrate(open(), { table }), migrate(open(), { table })]);
  });
  afterAll(() => Promise.all(opened.map((pool) => pool.end())));

  testStore(
    { describe, test },
    { open: () => postgresStore(open(), { table }), unreachable: null, mixedUp: null },
  );
});
