import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const copy = mkdtempSync(join(tmpdir(), "tenure-boundaries-"));
afterAll(() => rmSync(copy, { recursive: true }));

const packages = globSync("{packages/*,tooling/*,examples/*,test}/package.json", { cwd: root }).map(dirname);

/** Copies the workspace without its sources: only the files that state what each package depends on. */
beforeAll(() => {
  const manifests = packages.flatMap((path) => [`${path}/package.json`, `${path}/turbo.json`]);
  for (const file of [".oxlintrc.json", "package.json", "pnpm-workspace.yaml", "turbo.json", ...manifests])
    cpSync(join(root, file), join(copy, file));
});

function run(tool: string, ...args: string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync(join(root, "node_modules/.bin", tool), args, { cwd: copy, encoding: "utf8" });
}

describe("the linter", () => {
  const refused = [
    ["packages/core/src", "ioredis"],
    ["packages/core/src", "@tenure/redis"],
    ["packages/redis/src", "@tenure/postgres"],
    ["packages/redis/src", "@tenure/express-session"],
    ["packages/redis/src", "@tenure/core/bridge"],
    ["packages/mongo/src", "@tenure/conformance"],
    ["packages/express-session/src", "@tenure/koa-session"],
    ["packages/express-session/src", "@tenure/redis"],
    ["packages/conformance/src", "@tenure/servers"],
    ["packages/conformance/src", "@tenure/core/bridge"],
    ["packages/cli/src", "@tenure/express-session"],
    ["packages/cli/src", "@tenure/core/store"],
  ] as const;
  const allowed = [
    ["packages/core/src", "node:crypto"],
    ["packages/core/src/bridge", "../session.ts"],
    ["packages/redis/src", "ioredis"],
    ["packages/redis/src", "@tenure/core"],
    ["packages/koa-session/src", "@tenure/core"],
    ["packages/koa-session/src", "@tenure/core/bridge"],
    ["packages/redis/test", "@tenure/servers"],
    ["packages/cli/src", "@tenure/redis"],
  ] as const;
  const files: Record<string, string> = {
    "packages/redis/src/a.ts": 'import type { B } from "./b.ts";\nexport type A = B | 1;\n',
    "packages/redis/src/b.ts": 'import type { A } from "./a.ts";\nexport type B = A | 2;\n',
  };
  for (const [folder, imported] of [...refused, ...allowed])
    files[importingFile(folder, imported)] =
      `import { thing } from "${imported}";\nexport const other: unknown = thing;\n`;
  let findings: string[];

  // All files are linted together, because the linter takes a while to start.
  beforeAll(() => {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      writeFileSync(join(copy, file), text);
    }
    findings = run("oxlint", "--format=unix").stdout.split("\n");
  });
  afterAll(() => {
    for (const file of Object.keys(files)) rmSync(join(copy, file));
  });

  test.each(refused)("does not allow %s to import %s", (folder, imported) => {
    expect(findingsIn(importingFile(folder, imported))).toContain("no-restricted-imports");
  });

  test.each(allowed)("allows %s to import %s", (folder, imported) => {
    expect(findingsIn(importingFile(folder, imported))).not.toContain("no-restricted-imports");
  });

  test("does not allow files to import each other, not even for types", () => {
    expect(findingsIn("packages/redis/src/a.ts")).toContain("no-cycle");
  });

  function importingFile(folder: string, imported: string): string {
    return `${folder}/${imported.replaceAll(/\W+/g, "-")}.ts`;
  }

  function findingsIn(file: string): string {
    return findings.filter((line) => line.startsWith(`${file}:`)).join("\n");
  }
});

describe("turbo boundaries", () => {
  test("accepts the dependencies of every package", () => {
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
  ])("does not allow %s to depend on %s", (folder, dependency) => {
    const path = join(copy, folder, "package.json");
    const before = readFileSync(path, "utf8");
    const manifest = JSON.parse(before) as { dependencies?: Record<string, string> };
    const dependencies = { ...manifest.dependencies, [dependency]: "workspace:*" };
    writeFileSync(path, JSON.stringify({ ...manifest, dependencies }));
    const { status, stdout } = run("turbo", "boundaries");
    writeFileSync(path, before);
    expect(status).not.toBe(0);
    expect(stdout).toMatch(/[1-9]\d* issues? found/);
  });

  test.each(packages)("gets one known tag from the turbo.json of %s", (folder) => {
    const { tags } = JSON.parse(readFileSync(join(root, folder, "turbo.json"), "utf8")) as {
      tags?: string[];
    };
    expect(tags).toHaveLength(1);
    expect(["core", "conformance", "store", "bridge", "cli", "tooling", "consumer"]).toContain(tags?.[0]);
  });
});
