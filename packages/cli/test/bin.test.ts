import { execFile } from "node:child_process";
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
