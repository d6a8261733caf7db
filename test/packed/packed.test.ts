import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { programsOf } from "../readme/programs.ts";
import { runAndVisit } from "../readme/run-and-visit.ts";
import { type Packed, packAll, pnpm, run } from "./pack.ts";

const root = join(import.meta.dirname, "../..");
/** Outside of the workspace, so that nothing of it is found by chance. */
const house = realpathSync(mkdtempSync(join(tmpdir(), "tenure-packed-")));

let packed: Packed[];
beforeAll(async () => {
  packed = await packAll(house);
  await moveIn();
}, 300_000);
afterAll(() => rmSync(house, { recursive: true, force: true }));

test("every package under packages/ is packed", () => {
  expect(packed.map(({ name }) => name)).toEqual(expect.arrayContaining(["@tenure/core", "@tenure/redis"]));
  expect(packed.filter(({ files }) => files.size < 4)).toEqual([]);
});

test("a tarball holds what is built, its README and its license, and nothing of the workshop", () => {
  const missing = ofEach(({ files }) => ["LICENSE", "README.md"].filter((path) => !files.has(path)));
  expect(missing).toEqual(ofEach(() => []));
  const built = /^(?:dist\/.*\.(?:js|d\.ts)|migrations\/.*\.sql|LICENSE|README\.md|package\.json)$/u;
  const other = ofEach(({ files }) => [...files.keys()].filter((path) => !built.test(path)));
  expect(other).toEqual(ofEach(() => []));
});

test("a tarball names no path of the machine it was built on", () => {
  const telling = ofEach(({ files }) =>
    [...files].filter(([, content]) => content.includes(root)).map(([path]) => path),
  );
  expect(telling).toEqual(ofEach(() => []));
});

test("a manifest asks for versions that a registry knows, and what it exports is there", () => {
  const strange = ofEach(({ manifest: { dependencies, peerDependencies } }) =>
    Object.values({ ...dependencies, ...peerDependencies }).filter(
      (range) => !/^[\d^~>=<| .x*-]+$/u.test(range),
    ),
  );
  expect(strange).toEqual(ofEach(() => []));
  const absent = ofEach(({ files, manifest }) =>
    Object.values(manifest.exports)
      .flatMap(({ types = "no types", default: code = "no code" }) => [types, code])
      .filter((path) => !files.has(path.replace("./", ""))),
  );
  expect(absent).toEqual(ofEach(() => []));
});

test("core depends on nothing, and what builds on it depends on it alone", () => {
  expect(ofEach(({ manifest }) => Object.keys(manifest.dependencies ?? {}).toSorted())).toEqual({
    ...ofEach(() => ["@tenure/core"]),
    "@tenure/core": [],
    "@tenure/conformance": ["@tenure/core", "fast-check"],
  });
});

test("the types are found as the code is, from ESM and by bundlers", async () => {
  for (const { name, tarball } of packed) {
    const { types, ...analysis } = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    const problems = "problems" in analysis ? analysis.problems : [];
    // ESM only: what Node 10 and a CommonJS without require(esm) would miss is not promised.
    const promised = problems.filter(
      (problem) =>
        problem.kind !== "CJSResolvesToESM" &&
        (!("resolutionKind" in problem) || /bundler|node16-esm/u.test(problem.resolutionKind)),
    );
    expect({ name, typed: types !== false, promised }).toEqual({ name, typed: true, promised: [] });
  }
});

test("every entry is imported and required by Node, and has what its source exports", async () => {
  const sources = packed.flatMap(({ name, folder, manifest }) =>
    Object.entries(manifest.exports).map(([path, { "@tenure/source": source = "" }]): [string, string] => [
      join(name, path),
      join(folder, source),
    ]),
  );
  writeFileSync(
    join(house, "import.mjs"),
    `const names = {};
for (const entry of ${JSON.stringify(sources.map(([entry]) => entry))}) names[entry] = Object.keys(await import(entry)).sort();
console.log(JSON.stringify(names));`,
  );
  writeFileSync(
    join(house, "require.cjs"),
    `const names = {};
for (const entry of ${JSON.stringify(sources.map(([entry]) => entry))}) names[entry] = Object.keys(require(entry)).sort();
console.log(JSON.stringify(names));`,
  );
  const exported: Record<string, string[]> = {};
  for (const [entry, source] of sources) {
    exported[entry] = Object.keys((await import(source)) as object).toSorted();
  }
  expect(Object.values(exported)).not.toContainEqual([]);
  for (const file of ["import.mjs", "require.cjs"]) {
    const found: unknown = JSON.parse(await run(house, process.execPath, file));
    expect({ file, found }).toEqual({ file, found: exported });
  }
});

test.each(["README.md", "packages/fastify-session/README.md", "packages/koa-session/README.md"])(
  "on the packages, the application of %s logs in and out, and out everywhere",
  async (readme) => {
    const [program] = programsOf(root, readme);
    if (!program) throw new Error("it has no code");
    const path = join(house, `${readme.replaceAll("/", "-")}.ts`);
    writeFileSync(path, program.text);
    const env = { ...process.env, SESSION_SECRET: "a secret of a test, as long as secrets should be" };
    await expect(runAndVisit(path, program, { execArgv: [], env })).resolves.toBeUndefined();
  },
);

test("packages share one core: a StoreError of a store is the StoreError of the application", async () => {
  writeFileSync(
    join(house, "one-core.mjs"),
    `import { StoreError } from "@tenure/core";
import { redisStore } from "@tenure/redis";
import { Redis } from "ioredis";
const client = new Redis({ host: "127.0.0.1", port: 1, lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
client.on("error", () => {});
const failure = await redisStore(client).read("x").catch((error) => error);
console.log(failure instanceof StoreError);`,
  );
  expect((await run(house, process.execPath, "one-core.mjs")).trim()).toBe("true");
});

test.each(["nodenext", "bundler"])(
  "an application type-checks against the packages, resolved as %s",
  async (resolution) => {
    writeFileSync(join(house, "consumer.ts"), CONSUMER);
    const file = `tsconfig.${resolution}.json`;
    const compilerOptions = {
      strict: true,
      noEmit: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      target: "es2023",
      types: ["node"],
      module: resolution === "bundler" ? "preserve" : resolution,
      moduleResolution: resolution,
      // Drivers' own declarations are not ours to judge; ours are built from sources that were checked.
      skipLibCheck: true,
    };
    writeFileSync(join(house, file), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    const tsc = join(root, "node_modules/.bin/tsc");
    expect(await run(house, tsc, "-p", file)).toBe("");
    // That it is checked at all.
    writeFileSync(join(house, "consumer.ts"), `${CONSUMER}\nconst wrong: number = sessions;\n`);
    await expect(run(house, tsc, "-p", file)).rejects.toThrow("consumer.ts");
  },
);

test("the packed conformance suite judges the packed memory store, under node:test", async () => {
  writeFileSync(
    join(house, "suite.mjs"),
    `import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "@tenure/conformance";
const store = memoryStore();
testStore({ describe, test }, { open: () => store, unreachable: null });`,
  );
  const report = await run(
    house,
    process.execPath,
    "--test",
    "--test-reporter=tap",
    "--test-name-pattern=Create never overwrites",
    "suite.mjs",
  );
  expect(report).toMatch(/^# fail 0$/mu);
  expect(Number(/^# pass (\d+)$/mu.exec(report)?.[1])).toBeGreaterThan(0);
});

/** By the name of the package. */
function ofEach<Value>(judge: (one: Packed) => Value): Record<string, Value> {
  return Object.fromEntries(packed.map((one) => [one.name, judge(one)]));
}

/** Installs all tarballs, and the peers in the versions of the workspace, in an empty folder. */
async function moveIn(): Promise<void> {
  const peers = Object.assign({}, ...packed.map(({ manifest }) => manifest.peerDependencies)) as Record<
    string,
    string
  >;
  const { devDependencies } = JSON.parse(readFileSync(join(root, "test/package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const tarballs = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]));
  const wanted = [
    ...Object.keys(peers),
    "express",
    "@fastify/cookie",
    "fastify",
    "koa",
    "@types/node",
    "@types/express",
    "@types/express-session",
    "@types/pg",
    "@types/koa",
  ];
  const installed = wanted.filter((name) => name in devDependencies || name === "@types/node");
  const versions = Object.fromEntries(installed.map((name) => [name, versionOf(name)]));
  writeFileSync(
    join(house, "package.json"),
    JSON.stringify({
      name: "consumer",
      private: true,
      type: "module",
      dependencies: { ...tarballs, ...versions },
    }),
  );
  // The packages ask each other for a version that is not on a registry yet.
  const overrides = Object.entries(tarballs).map(([name, tarball]) => `  "${name}": "${tarball}"`);
  writeFileSync(join(house, "pnpm-workspace.yaml"), `packages: []\noverrides:\n${overrides.join("\n")}\n`);
  await pnpm(house, "install", "--prefer-offline", "--ignore-scripts");
}

/** The version that the workspace uses, which is in pnpm's store already. */
function versionOf(name: string): string {
  const folders = [join(root, "test/node_modules", name), join(root, "node_modules", name)];
  for (const folder of folders) {
    try {
      return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string }).version;
    } catch {
      // The other folder.
    }
  }
  throw new Error(`${name} is not installed in the workspace`);
}

const CONSUMER = `import { memoryStore, type Session, Sessions, type SessionStore, StoreError } from "@tenure/core";
import { testStore } from "@tenure/conformance";
import { expressSessionStore } from "@tenure/express-session";
import { fastifySessionStore } from "@tenure/fastify-session";
import { koaSessionStore } from "@tenure/koa-session";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { migrate, postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import session from "express-session";
import { Redis } from "ioredis";
import type { Collection } from "mongodb";
import pg from "pg";

interface Data {
  userId?: string;
  cart: string[];
}

export const stores: ((collection: Collection) => SessionStore)[] = [
  () => memoryStore(),
  () => redisStore(new Redis()),
  () => postgresStore(new pg.Pool()),
  (collection) => mongoStore(collection),
];
export const sessions = new Sessions<Data>({ store: memoryStore(), idleTimeout: "30m", userId: (data) => data.userId });
export const found: Promise<Session<Data> | null> = sessions.get("token");
export const middleware = session({ store: expressSessionStore(sessions), secret: "x" });
export const others = [fastifySessionStore(sessions), koaSessionStore(sessions)];
export const rest = [migrate, ensureIndexes, testStore, StoreError];
// @ts-expect-error -- a duration is a number of milliseconds or words
sessions.create({ cart: [] }, { idle: true });
`;
