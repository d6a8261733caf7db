import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const house = mkdtempSync(join(tmpdir(), "tenure-boundaries-"));
afterAll(() => rmSync(house, { recursive: true }));

const packages = globSync(["packages/*", "tooling/*", "examples/*", "test"], { cwd: root });

/** Copies the workspace without its sources: only the files that say what each package depends on. */
beforeAll(() => {
  for (const file of [".oxlintrc.json", "package.json", "pnpm-workspace.yaml", "turbo.json"])
    cpSync(join(root, file), join(house, file));
  for (const room of packages)
    for (const file of ["package.json", "turbo.json"])
      cpSync(join(root, room, file), join(house, room, file));
});

function run(tool: string, ...args: string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync(join(root, "node_modules/.bin", tool), args, { cwd: house, encoding: "utf8" });
}

/** Returns whether the workspace's lint rules refuse an import in this file of the workspace. */
function isRefused(file: string, imported: string): boolean {
  const path = join(house, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `import { thing } from "${imported}";\nexport const other: unknown = thing;\n`);
  const { stdout } = run("oxlint", "--format=unix", file);
  rmSync(path);
  return stdout.includes("no-restricted-imports");
}

describe("the linter", () => {
  test.each([
    ["packages/core/src/a.ts", "ioredis"],
    ["packages/core/src/a.ts", "@tenure/redis"],
    ["packages/redis/src/a.ts", "@tenure/postgres"],
    ["packages/redis/src/a.ts", "@tenure/express-session"],
    ["packages/redis/src/a.ts", "@tenure/core/bridge"],
    ["packages/mongo/src/a.ts", "@tenure/conformance"],
    ["packages/express-session/src/a.ts", "@tenure/koa-session"],
    ["packages/express-session/src/a.ts", "@tenure/redis"],
    ["packages/conformance/src/a.ts", "@tenure/servers"],
    ["packages/conformance/src/a.ts", "@tenure/core/bridge"],
    ["packages/cli/src/a.ts", "@tenure/express-session"],
    ["packages/cli/src/a.ts", "@tenure/core/store"],
  ])("refuses that %s imports %s", (file, imported) => {
    expect(isRefused(file, imported)).toBe(true);
  });

  test.each([
    ["packages/core/src/a.ts", "node:crypto"],
    ["packages/core/src/bridge/a.ts", "../session.ts"],
    ["packages/redis/src/a.ts", "ioredis"],
    ["packages/redis/src/a.ts", "@tenure/core"],
    ["packages/koa-session/src/a.ts", "@tenure/core"],
    ["packages/koa-session/src/a.ts", "@tenure/core/bridge"],
    ["packages/redis/test/a.ts", "@tenure/servers"],
    ["packages/cli/src/a.ts", "@tenure/redis"],
  ])("lets %s import %s", (file, imported) => {
    expect(isRefused(file, imported)).toBe(false);
  });

  test("refuses files that import each other, types included", () => {
    const files = ["packages/redis/src/a.ts", "packages/redis/src/b.ts"];
    mkdirSync(join(house, "packages/redis/src"), { recursive: true });
    writeFileSync(join(house, files[0]!), 'import type { B } from "./b.ts";\nexport type A = B | 1;\n');
    writeFileSync(join(house, files[1]!), 'import type { A } from "./a.ts";\nexport type B = A | 2;\n');
    const { stdout } = run("oxlint", "--format=unix", ...files);
    for (const file of files) rmSync(join(house, file));
    expect(stdout).toContain("no-cycle");
  });
});

describe("turbo boundaries", () => {
  test("has nothing against what the packages depend on", () => {
    const { status, stdout } = run("turbo", "boundaries");
    expect(stdout).toContain("no issues found");
    expect(status).toBe(0);
  });

  test.each([
    ["packages/core", "@tenure/redis"],
    ["packages/core", "@tenure/conformance"],
    ["packages/redis", "@tenure/postgres"],
    ["packages/redis", "@tenure/koa-session"],
    ["packages/express-session", "@tenure/fastify-session"],
    ["packages/conformance", "@tenure/redis"],
    ["packages/mongo", "@tenure/example-devices"],
    ["packages/koa-session", "@tenure/cli"],
    ["tooling/servers", "@tenure/core"],
  ])("refuses that %s depends on %s", (room, dependency) => {
    const path = join(house, room, "package.json");
    const before = readFileSync(path, "utf8");
    const manifest = JSON.parse(before) as { dependencies?: Record<string, string> };
    const dependencies = { ...manifest.dependencies, [dependency]: "workspace:*" };
    writeFileSync(path, JSON.stringify({ ...manifest, dependencies }));
    const { status, stdout } = run("turbo", "boundaries");
    writeFileSync(path, before);
    expect(status).not.toBe(0);
    expect(stdout).toMatch(/[1-9]\d* issues? found/);
  });

  test.each(packages)("knows what %s is", (room) => {
    const { tags } = JSON.parse(readFileSync(join(root, room, "turbo.json"), "utf8")) as { tags?: string[] };
    expect(tags).toHaveLength(1);
    expect(["core", "conformance", "store", "bridge", "cli", "tooling", "house"]).toContain(tags?.[0]);
  });
});
