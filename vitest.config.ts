import { existsSync, globSync, readFileSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The folders of all workspace packages. Each is a vitest project with the folder's name. */
const packages = ["packages", "tooling", "examples"]
  .flatMap((parent) => readdirSync(parent).map((name) => `${parent}/${name}`))
  .concat("test")
  .filter((folder) => existsSync(`${folder}/package.json`));

/** Tests import the sources, so nothing has to be built. `test/packed` tests the built packages. */
const conditions = ["@tenure/source"];

const ALONE = "**/*.alone.test.ts";

/** Hundreds of test processes load the same modules. With this cache, each module is compiled only once. */
process.env["NODE_COMPILE_CACHE"] ??= resolve("node_modules/.cache/node");

/** The file to which the run appends its counts. `.ci/run` sums them. */
const tally = process.env["TENURE_TALLY"];

/**
 * Packages whose test files each need a process of their own: those of express-session replace a module, and
 * those of MongoDB share one that closes the clients after the file that loads it. In other packages, files
 * run one after another in the same processes, because starting a process takes longer than most files.
 */
const ISOLATED: ReadonlySet<string> = new Set(["packages/express-session", "packages/mongo"]);

/** Starts with the longest files. If one of them started last, the other workers would wait for it. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the sequencer's method, not an array's
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}

/** What long files are about, from the longest on. */
const LONG = [
  // Hundreds of thousands of sessions.
  /\/(?:many-sessions|sweep-pauses)\./u,
  // The conformance suite on servers, files that kill a server repeatedly, and files that wait for timeouts or
  // for work that is done once a minute.
  /\/(?:conformance|durability|cleaning|outage|replicas)[^/]*\.test\.ts$/u,
  // Other processes: compilers, package managers, browsers and benchmarks.
  /\/test\/(?:packed|readme|browser|bridges|bench)\/[^/]*\.test\.ts$/u,
];

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONG.findIndex((pattern) => pattern.test(moduleId));
  return rank === -1 ? LONG.length : rank;
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Tests mostly wait for servers and deadlines, so more workers than cores keep the cores busy.
    maxWorkers: Math.max(5, availableParallelism()),
    ...(tally ? { reporters: ["default", [resolve("tooling/tally/src/reporter.ts"), { file: tally }]] } : {}),
    projects: packages.flatMap((root) =>
      hasFilesToRunAlone(root) ? [project(root), aloneProject(root)] : [project(root)],
    ),
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
      isolate: ISOLATED.has(root),
      // Concurrent tests mostly wait for deadlines. Those of MongoDB have time limits that a busier server
      // would exceed.
      maxConcurrency: root === "packages/mongo" ? 5 : 12,
      // Only ends tests that hang. A slow machine makes a test take longer, but not fail.
      testTimeout: 300_000,
      hookTimeout: 300_000,
      expect: { poll: { timeout: 30_000 } },
    },
  };
}

/**
 * Tests that measure time. They run after all other tests, two files at a time: each allows for a neighbour,
 * because it measures processor time, compares with a control, or mostly waits.
 */
function aloneProject(root: string) {
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
      maxWorkers: 2,
      isolate: true,
      sequence,
    },
  };
}

function hasFilesToRunAlone(root: string): boolean {
  return globSync(ALONE, { cwd: root, exclude: ["**/node_modules/**"] }).length > 0;
}

/**
 * A project that depends on `@tenure/servers` gets the backends whose drivers it depends on. See
 * tooling/servers/README.md.
 */
function servers(root: string) {
  const { name, dependencies, devDependencies } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
  const packagesOfProject = { [name]: "", ...dependencies, ...devDependencies };
  if (!("@tenure/servers" in packagesOfProject)) return {};
  return {
    globalSetup: [resolve("tooling/servers/src/setup.ts")],
    provide: {
      backends: [
        ...("ioredis" in packagesOfProject ? ["redis"] : []),
        ...("pg" in packagesOfProject ? ["postgres"] : []),
        ...("mongodb" in packagesOfProject ? ["mongo", "mongo-transactions"] : []),
      ],
    },
  };
}
