import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const house = mkdtempSync(join(tmpdir(), "tenure-boundaries-"));
afterAll(() => rmSync(house, { recursive: true }));

/** Lints one import as if it stood in that file of the workspace, under the workspace's own rules. */
function isRefused(file: string, imported: string): boolean {
  cpSync(join(root, ".oxlintrc.json"), join(house, ".oxlintrc.json"));
  const path = join(house, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `import { thing } from "${imported}";\nexport const other: unknown = thing;\n`);
  const oxlint = join(root, "node_modules/.bin/oxlint");
  const { stdout } = spawnSync(oxlint, ["--format=unix", file], { cwd: house, encoding: "utf8" });
  rmSync(path);
  return stdout.includes("no-restricted-imports");
}

describe("the linter", () => {
  test.each([
    ["packages/core/src/a.ts", "ioredis"],
    ["packages/core/src/a.ts", "@tenure/redis"],
    ["packages/redis/src/a.ts", "@tenure/postgres"],
    ["packages/redis/src/a.ts", "@tenure/express-session"],
    ["packages/mongo/src/a.ts", "@tenure/conformance"],
    ["packages/express-session/src/a.ts", "@tenure/koa-session"],
    ["packages/express-session/src/a.ts", "@tenure/memory"],
    ["packages/conformance/src/a.ts", "@tenure/servers"],
  ])("refuses that %s imports %s", (file, imported) => {
    expect(isRefused(file, imported)).toBe(true);
  });

  test.each([
    ["packages/core/src/a.ts", "node:crypto"],
    ["packages/core/src/bridge/a.ts", "../session.ts"],
    ["packages/redis/src/a.ts", "ioredis"],
    ["packages/redis/src/a.ts", "@tenure/core"],
    ["packages/koa-session/src/a.ts", "@tenure/core/bridge"],
    ["packages/redis/test/a.ts", "@tenure/servers"],
  ])("lets %s import %s", (file, imported) => {
    expect(isRefused(file, imported)).toBe(false);
  });
});
