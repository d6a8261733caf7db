import { execFile, spawnSync } from "node:child_process";
import { existsSync, openSync, closeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };

const bin = join(import.meta.dirname, "../src/bin.ts");

test.each([
  ["--help", 0, "stdout", "Usage: tenure"],
  ["--version", 0, "stdout", manifest.version],
  ["frobnicate", 2, "stderr", "unknown command"],
] as const)("the program tenure %s exits with code %i and writes to %s", async (arg, code, stream, text) => {
  const ran = await new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    const args = ["--conditions=@tenure/source", bin, arg];
    execFile(process.execPath, args, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
  expect(ran.code).toBe(code);
  expect(ran[stream]).toContain(text);
});

// Linux has a device that is always full.
test.runIf(existsSync("/dev/full"))(
  "a result that cannot be written is an error of one line, with exit code 1",
  () => {
    const full = openSync("/dev/full", "w");
    try {
      const args = ["--conditions=@tenure/source", bin, "--version"];
      const ran = spawnSync(process.execPath, args, { stdio: ["ignore", full, "pipe"], encoding: "utf8" });
      expect(ran.stderr).toMatch(/^tenure: .*ENOSPC.*\n$/);
      expect(ran.status).toBe(1);
    } finally {
      closeSync(full);
    }
  },
);
