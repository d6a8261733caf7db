import { existsSync, globSync, readFileSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Every workspace package with tests is a project of its own, named as its folder. */
const rooms = ["packages", "tooling", "examples"]
  .flatMap((house) => readdirSync(house).map((room) => `${house}/${room}`))
  .concat("test")
  .filter((room) => existsSync(`${room}/package.json`));

/** Tests run the sources: no build comes first. `test/packed` is where what is published is tested. */
const conditions = ["@tenure/source"];

const ALONE = "**/*.alone.test.ts";

/** Hundreds of processes of tests load the same modules: each compiles, and strips of types, what none has before. */
process.env["NODE_COMPILE_CACHE"] ??= resolve("node_modules/.cache/node");

/** Where a run leaves its counts for whoever sums several runs. */
const tally = process.env["TENURE_TALLY"];

/** Begins with the files that take longest: at the end, one of them would run while the other workers have nothing to do. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not an array's
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** Most of `test`, the conformance suite on servers, what kills a server again and again, and what waits for timeouts or for its once-a-minute work. */
function isLong(file: TestSpecification): boolean {
  return (
    file.project.name === "test" ||
    /\/(?:conformance|durability|cleaning|outage|replicas)[^/]*\.test\.ts$/u.test(file.moduleId)
  );
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Most of the time tests wait, for servers and for deadlines: more of them than cores, or one would idle.
    maxWorkers: Math.max(5, availableParallelism()),
    ...(tally ? { reporters: ["default", [resolve("tooling/tally/src/reporter.ts"), { file: tally }]] } : {}),
    projects: rooms.flatMap((root) => (measures(root) ? [project(root), alone(root)] : [project(root)])),
  },
});

function project(root: string) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name: root.slice(root.indexOf("/") + 1),
      root,
      ...servers(root),
      include: root === "test" ? ["**/*.test.ts"] : ["test/**/*.test.ts"],
      exclude: ["**/node_modules/**", ALONE],
      // Concurrent tests wait for deadlines, most of the time. Those of MongoDB have limits that a server with more to do would exceed.
      maxConcurrency: root === "packages/mongo" ? 5 : 12,
      // A slow machine makes a test longer, not red: this only ends what hangs.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      expect: { poll: { timeout: 30_000 } },
    },
  };
}

/** What measures time runs after everything else, one file at a time. */
function alone(root: string) {
  const { test, ...rest } = project(root);
  const name = `${test.name}-alone`;
  const sequence = { groupOrder: 1 };
  return {
    ...rest,
    test: {
      ...test,
      name,
      include: [ALONE],
      exclude: ["**/node_modules/**"],
      fileParallelism: false,
      sequence,
    },
  };
}

function measures(root: string): boolean {
  return globSync(ALONE, { cwd: root, exclude: ["**/node_modules/**"] }).length > 0;
}

/** A project that has `@tenure/servers` gets the backends whose drivers it has: tooling/servers/README.md. */
function servers(root: string) {
  const { name, dependencies, devDependencies } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
  const has = { [name]: "", ...dependencies, ...devDependencies };
  if (!("@tenure/servers" in has)) return {};
  return {
    globalSetup: [resolve("tooling/servers/src/setup.ts")],
    provide: {
      backends: [
        ...("ioredis" in has ? ["redis"] : []),
        ...("pg" in has ? ["postgres"] : []),
        ...("mongodb" in has ? ["mongo", "mongo-transactions"] : []),
      ],
    },
  };
}
