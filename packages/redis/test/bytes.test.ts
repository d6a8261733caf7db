import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { canStart } from "@tenure/servers";
import { expect, test } from "vitest";

const here = await canStart("redis");

here.describe("the script behind the README's table of memory", () => {
  test("prints the bytes of a session of connect-redis, of a session of Tenure, and of its tombstone, which is smaller", async () => {
    const script = fileURLToPath(new URL("bytes.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--conditions=@tenure/source",
      script,
      "1000",
    ]);
    const rows = stdout
      .trim()
      .split("\n")
      .slice(2)
      .map((line) => line.trim().split(/\s+/).map(Number));
    expect(rows).toHaveLength(3);
    for (const [data, connectRedis, tenure, tombstone] of rows) {
      expect(connectRedis).toBeGreaterThan(data!);
      expect(tenure).toBeGreaterThan(data!);
      expect(tombstone).toBeLessThan(tenure!);
    }
  });
});
