import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { canStart } from "@tenure/servers";
import { describe, expect, test } from "vitest";

const redis = await canStart("redis");
const postgres = await canStart("postgres");
const mongo = await canStart("mongo");

// No test checks speed, because the machine is busy with other tests.
describe("the benchmark's short run", () => {
  test("compares Tenure with memorystore", async () => {
    const { stdout } = await bench("memory");
    expect(cellsIn(stdout)).toEqual(expectedCells("Tenure", "memorystore"));
    expect(stdout).toMatch(/^memorystore, prune: [\d.]+ ms$/m);
    expect(stdout).toMatch(/^protect, page view: [\d.]+ µs without, [\d.]+ µs with, adds -?[\d.]+ µs$/m);
  });

  test("compares Tenure with better-sqlite3-session-store", async () => {
    const { stdout } = await bench("sqlite");
    const peer = "better-sqlite3-session-store";
    expect(cellsIn(stdout)).toEqual(
      expectedCells("Tenure", peer, `${peer}, WAL`, `${peer}, WAL, synchronous normal`),
    );
  });

  redis.describe("on Redis", () => {
    test("compares Tenure on ioredis with connect-redis", async () => {
      const { stdout } = await bench("redis");
      expect(cellsIn(stdout)).toEqual(expectedCells("Tenure", "connect-redis"));
    });

    test("compares Tenure on node-redis with connect-redis", async () => {
      const { stdout } = await bench("node-redis");
      expect(cellsIn(stdout)).toEqual(expectedCells("Tenure", "connect-redis"));
    });
  });

  postgres.describe("on Postgres", () => {
    test("compares Tenure with connect-pg-simple and @keyv/postgres", async () => {
      const { stdout } = await bench("postgres");
      expect(cellsIn(stdout)).toEqual(expectedCells("Tenure", "connect-pg-simple", "@keyv/postgres"));
    });
  });

  mongo.describe("on MongoDB", () => {
    test("compares Tenure with connect-mongo", async () => {
      const { stdout } = await bench("mongo");
      expect(cellsIn(stdout)).toEqual(expectedCells("Tenure", "connect-mongo", "connect-mongo, touchAfter"));
    });
  });
});

test("the benchmark rejects an unknown backend and prints the known ones", async () => {
  await expect(bench("oracle")).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("redis") });
});

async function bench(backend: string): Promise<{ stdout: string }> {
  const main = join(import.meta.dirname, "main.ts");
  return promisify(execFile)(process.execPath, ["--conditions=@tenure/source", main, backend, "--short"]);
}

const LOADS = [
  "page view, C=1",
  "page view, C=16",
  "page view, every touch written, C=16",
  "page view over HTTP, C=16",
  "mix, C=16",
  "revoke one user's 10 sessions",
];

function expectedCells(...stores: readonly string[]): string[] {
  return LOADS.flatMap((load) => stores.map((store) => `${load}: ${store}`));
}

/**
 * Returns the cells of the printed table, as "load: store". The table names a load only in the row of the
 * first store, and appends the method of a revocation to the store's name.
 */
function cellsIn(table: string): string[] {
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| load"));
  let load = "";
  return rows.map((row) => {
    const [first = "", store = ""] = row.slice(2).split(" | ");
    load = first.trim() || load;
    return `${load}: ${store.trim().split(":")[0]}`;
  });
}
