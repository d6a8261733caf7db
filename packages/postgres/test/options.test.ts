import { MAX_DURATION } from "@tenure/core";
import { migrate, type PostgresPool, type PostgresStoreOptions, postgresStore } from "@tenure/postgres";
import { Client, Pool } from "pg";
import { expect, test } from "vitest";
import { fakePool } from "./intercepted-pool.ts";

const pool: PostgresPool = {
  connect: () => Promise.reject(new Error("not in this test")),
  on: () => undefined,
};

test.each([
  ["undefined", undefined],
  ["null", null],
  ["a string", "postgres://127.0.0.1"],
  ["an object", {}],
  ["a client", new Client()],
])("postgresStore and migrate refuse %s as the pool", async (_, wrong) => {
  const error = new TypeError("pool must be a pg.Pool, such as new Pool({ connectionString })");
  expect(() => postgresStore(wrong as never)).toThrow(error);
  await expect(migrate(wrong as never)).rejects.toThrow(error);
});

test.each([
  ["undefined", undefined],
  ["null", null],
  ["an object", {}],
  ["a pool", new Pool()],
])("with(client) refuses %s as its client", (_, wrong) => {
  expect(() => postgresStore(pool).with(wrong as never)).toThrow(
    new TypeError("client must be a pg.Client with an open transaction: store.with(await pool.connect())"),
  );
});

test.each<PostgresStoreOptions>([
  { tombstoneMinimum: 0 },
  { tombstoneMinimum: -1 },
  { tombstoneMinimum: Number.NaN },
  { tombstoneMinimum: Number.POSITIVE_INFINITY },
  { tombstoneMinimum: 0.5 },
  { tombstoneMinimum: MAX_DURATION + 1 },
  { tombstoneMinimum: "1h" as never },
  { table: "" },
  { schema: "" },
  { tombstoneMinimun: 1 } as object,
])("postgresStore refuses the options %j", (options) => {
  expect(() => postgresStore(pool, options)).toThrow(TypeError);
});

const notPgs = "the pool or client is not one of pg";

test("with(client) says so if the client is an ORM's transaction, whose queries return rows", async () => {
  const manager = { query: async () => [{ present: "true" }] };
  const store = postgresStore(pool).with(manager as never);
  await expect(store.revokeUser("ada")).rejects.toThrow(notPgs);
});

test("a call says so if the pool is of a library that has other methods than pg", async () => {
  const other = fakePool(() => Promise.reject(new TypeError("client.query is not a function")));
  await expect(postgresStore(other).read("id")).rejects.toThrow(notPgs);
});

test("a call does not blame the pool if its address is invalid", async () => {
  const store = postgresStore(
    new Pool({ connectionString: "postgres://user:password@host:99999999/database" }),
  );
  await expect(store.read("id")).rejects.toThrow("PostgreSQL could not be reached");
});
