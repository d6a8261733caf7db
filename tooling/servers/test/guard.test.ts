import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { canStart, isListening } from "../src/index.ts";

const redis = await canStart("redis");
const postgres = await canStart("postgres");

redis.describe("a process that has started a Redis", () => {
  postgres.describe("and a PostgreSQL", () => {
    test("leaves no server and no folder behind when it is killed with SIGKILL", async () => {
      const script = join(import.meta.dirname, "fixtures", "owner.ts");
      const folder = mkdtempSync(join(tmpdir(), "tenure-owner-"));
      // If root runs the tests, PostgreSQL runs as another user.
      chmodSync(folder, 0o711);
      const owner = spawn(process.execPath, [script], {
        env: { ...process.env, TMPDIR: folder },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = (await once(createInterface(owner.stdout), "line")) as [string];
      const ports = JSON.parse(line) as number[];
      await expect(Promise.all(ports.map(isListening))).resolves.toEqual([true, true]);
      owner.kill("SIGKILL");
      await expect.poll(() => Promise.all(ports.map(isListening))).toEqual([false, false]);
      await expect.poll(() => readdirSync(folder)).toEqual([]);
      rmdirSync(folder);
    });
  });
});
