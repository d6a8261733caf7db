import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { canStart } from "@tenure/servers";
import { describe, expect, test } from "vitest";

const redis = await canStart("redis");
const postgres = await canStart("postgres");
const mongo = await canStart("mongo");

/**
 * Checks that the benchmark finishes and prints its tables. No test checks speed, because the machine is busy
 * with other tests.
 */
describe("the benchmark's short run", () => {
  test("puts Tenure beside memorystore", { timeout: 120_000 }, async () => {
    const { stdout } = await bench("memory");
    expect(cells(stdout)).toEqual(cellsOf(["Tenure", "memorystore"]));
    expect(stdout).toMatch(/^memorystore, prune: [\d.]+ ms$/m);
    expect(stdout).toMatch(/^protect, page view: [\d.]+ µs without, [\d.]+ µs with, adds -?[\d.]+ µs$/m);
  });

  test("puts Tenure beside better-sqlite3-session-store", { timeout: 120_000 }, async () => {
    const { stdout } = await bench("sqlite");
    const peer = "better-sqlite3-session-store";
    expect(cells(stdout)).toEqual(
      cellsOf(["Tenure", peer, `${peer}, WAL`, `${peer}, WAL, synchronous normal`]),
    );
  });

  redis.describe("on Redis", () => {
    test("puts Tenure beside connect-redis", { timeout: 120_000 }, async () => {
      const { stdout } = await bench("redis");
      expect(cells(stdout)).toEqual(cellsOf(["Tenure", "connect-redis"]));
    });

    test("puts Tenure on node-redis beside connect-redis", { timeout: 120_000 }, async () => {
      const { stdout } = await bench("node-redis");
      expect(cells(stdout)).toEqual(cellsOf(["Tenure", "connect-redis"]));
    });
  });

  postgres.describe("on Postgres", () => {
    test("puts Tenure beside connect-pg-simple and @keyv/postgres", { timeout: 120_000 }, async () => {
      const { stdout } = await bench("postgres");
      expect(cells(stdout)).toEqual(cellsOf(["Tenure", "connect-pg-simple", "@keyv/postgres"]));
    });
  });

  mongo.describe("on MongoDB", () => {
    test("puts Tenure beside connect-mongo", { timeout: 120_000 }, async () => {
      const { stdout } = await bench("mongo");
      expect(cells(stdout)).toEqual(cellsOf(["Tenure", "connect-mongo", "connect-mongo, touchAfter"]));
    });
  });
});

test("the benchmark refuses a backend that it does not know", async () => {
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

/** Returns the cells of every load with each of these stores. */
function cellsOf(stores: readonly string[]): string[] {
  return LOADS.flatMap((load) => stores.map((store) => `${load}: ${store}`));
}

/**
 * Returns the cells of a table. It names a load only beside the first store, and appends a revocation's
 * method to the store's name.
 */
function cells(table: string): string[] {
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| load"));
  let load = "";
  return rows.map((row) => {
    const [first = "", store = ""] = row.slice(2).split(" | ");
    load = first.trim() || load;
    return `${load}: ${store.trim().split(":")[0]}`;
  });
}
