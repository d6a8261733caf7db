import { globSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { server } from "@tenure/servers";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { programsOf } from "../readme/programs.ts";
import { runAndVisit } from "../readme/run-and-visit.ts";
import { type Cell, prepareCell } from "./cell.ts";
import { programOn, setups, writeProject } from "./compilers.ts";
import { type Exports, type Manifest, type Packed, packAll, pnpm, run, SOURCE, versionOf } from "./pack.ts";
import { bundle } from "./projects/bundle.ts";
import { commonjs, esm } from "./projects/javascript.ts";
import { jest } from "./projects/jest.ts";
import { nest } from "./projects/nest.ts";
import type { Project } from "./projects/project.ts";
import { typescript } from "./projects/typescript.ts";
import { runProject } from "./run-project.ts";
import type { Checked } from "./typescript-5.ts";
import measured from "./sizes.json" with { type: "json" };

const root = join(import.meta.dirname, "../..");
const NODE_22 = join(root, "test/node_modules/node-22/bin/node");
/**
 * A folder outside of the workspace, so that projects find none of its packages by chance. All projects in it
 * share one installation.
 */
const house = realpathSync(mkdtempSync(join(tmpdir(), "tenure-packed-")));
/** A folder for projects that install their own dependencies. No parent folder has a `node_modules`. */
const outside = realpathSync(mkdtempSync(join(tmpdir(), "tenure-fresh-")));
const postgres = await server("postgres");
/** The timeout of tests that share the processor with others of their kind. */
const LONG_MS = 600_000;

let packed: Packed[];
beforeAll(async () => {
  packed = await packAll(house);
  await install();
}, 300_000);
afterAll(() => {
  for (const folder of [house, outside]) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

describe("a tarball", () => {
  test("is made of every package under packages/", () => {
    expect(packed.map(({ name }) => name)).toEqual(expect.arrayContaining(["@tenure/core", "@tenure/redis"]));
    expect(packed.filter(({ files }) => files.size < 4)).toEqual([]);
  });

  test("holds what is built, its README and its license, and nothing of the workshop", () => {
    const missing = ofEach(({ files }) => ["LICENSE", "README.md"].filter((path) => !files.has(path)));
    expect(missing).toEqual(ofEach(() => []));
    const stub = /^(?:bridge|store)\/package\.json$/u;
    const built =
      /^(?:dist\/.*\.(?:cjs|js|d\.cts|d\.ts)|migrations\/.*\.sql|LICENSE|README\.md|package\.json)$/u;
    const other = ofEach(({ files }) =>
      [...files.keys()].filter((path) => !built.test(path) && !stub.test(path)),
    );
    expect(other).toEqual(ofEach(() => []));
  });

  test("names no path of the machine it was built on", () => {
    const telling = ofEach(({ files }) =>
      [...files].filter(([, content]) => content.includes(root)).map(([path]) => path),
    );
    expect(telling).toEqual(ofEach(() => []));
  });

  test("asks for versions that a registry knows, and every file that its manifest names is there, under every condition", () => {
    const strange = ofEach(({ manifest: { dependencies, peerDependencies } }) =>
      Object.values({ ...dependencies, ...peerDependencies }).filter(
        (range) => !/^[\d^~>=<| .x*-]+$/u.test(range),
      ),
    );
    expect(strange).toEqual(ofEach(() => []));
    const absent = ofEach(({ files, manifest }) =>
      namedBy(manifest).filter((path) => !files.has(path.replace("./", ""))),
    );
    expect(absent).toEqual(ofEach(() => []));
  });

  test("is at most 15 % larger than it was measured", () => {
    const now = ofEach(({ tarball }) => statSync(tarball).size);
    expect(Object.keys(now).toSorted()).toEqual(Object.keys(measured).toSorted());
    const grown = Object.entries(measured).filter(([name, size]) => (now[name] ?? 0) > size * 1.15);
    // If a package is meant to grow, change sizes.json.
    expect({ grown: Object.fromEntries(grown), now }).toEqual({ grown: {}, now });
  });

  test("names no condition that only the workspace has", () => {
    const naming = ofEach(({ manifest }) => JSON.stringify(manifest.exports).includes(SOURCE));
    expect(naming).toEqual(ofEach(() => false));
  });
});

test("core depends on nothing, and is a peer of what builds on it, so that an application has one copy", () => {
  const others = packed.filter(({ name }) => name !== "@tenure/core");
  expect(others.filter(({ manifest }) => !manifest.peerDependencies?.["@tenure/core"])).toEqual([]);
  expect(ofEach(({ manifest }) => Object.keys(manifest.dependencies ?? {}))).toEqual({
    ...ofEach(() => []),
    "@tenure/conformance": ["fast-check"],
    // The command line runs on its own, with npx.
    "@tenure/cli": [
      "@tenure/mongo",
      "@tenure/postgres",
      "@tenure/redis",
      "@tenure/sqlite",
      "commander",
      "ioredis",
      "mongodb",
      "pg",
    ],
  });
});

test("the Redis package names neither client in its code and declarations, so a project needs only the one it has", () => {
  const shipped = join(house, "node_modules/@tenure/redis/dist");
  const files = globSync("**/*.{js,cjs,ts,cts}", { cwd: shipped });
  expect(files.length).toBeGreaterThan(3);
  const naming = files.filter((file) =>
    /(?:from|require\(|import\()\s*["'](?:ioredis|redis|@redis\/[^"']*)["']/u.test(
      readFileSync(join(shipped, file), "utf8"),
    ),
  );
  expect(naming).toEqual([]);
  const { manifest } = packed.find(({ name }) => name === "@tenure/redis")!;
  expect(manifest.peerDependenciesMeta).toMatchObject({
    ioredis: { optional: true },
    redis: { optional: true },
  });
});

test("the types are found as the code is, by every resolver", async () => {
  for (const { name, tarball } of packed) {
    const { types, ...analysis } = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    const problems = "problems" in analysis ? analysis.problems : [];
    expect({ name, typed: types !== false, problems }).toEqual({ name, typed: true, problems: [] });
  }
});

test("publint, strict, has nothing to say about what is in the tarballs", async () => {
  for (const { name, tarball } of packed) {
    const pack = { tarball: Uint8Array.from(readFileSync(tarball)).buffer };
    const { messages } = await publint({ pack, strict: true });
    expect({ name, messages }).toEqual({ name, messages: [] });
  }
});

describe.each([
  ["24", process.execPath],
  ["22", NODE_22],
])("Node %s", (version, node) => {
  test("is what runs here", async () => {
    expect(await run(house, node, "--version")).toMatch(new RegExp(`^v${version}\\.`, "u"));
  });

  test("runs the command line", async () => {
    const help = await run(house, node, "node_modules/@tenure/cli/dist/bin.cjs", "--help");
    expect(help).toContain("Usage: tenure");
  });

  test("imports and requires one copy of every entry, with what its source exports", async () => {
    const entries = packed.flatMap((one) => one.entries);
    const exported: Record<string, string[]> = {};
    for (const { specifier, source } of entries) {
      exported[specifier] = Object.keys((await import(source)) as object).toSorted();
    }
    expect(Object.values(exported)).not.toContainEqual([]);
    writeFileSync(
      join(house, "entries.mjs"),
      `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const names = {};
for (const entry of ${JSON.stringify(Object.keys(exported))}) {
  const [imported, required] = [await import(entry), require(entry)];
  const copies = Object.keys(imported).filter((name) => imported[name] !== required[name]);
  if (copies.length > 0) throw new Error(entry + " has two copies of " + copies);
  if (Object.keys(required).sort().join() !== Object.keys(imported).join()) throw new Error(entry + " has other names when it is required");
  names[entry] = Object.keys(imported);
}
console.log(JSON.stringify(names));`,
    );
    expect(JSON.parse(await run(house, node, "entries.mjs"))).toEqual(exported);
  });

  test("passes sessions between what is imported and what is required", async () => {
    writeFileSync(
      join(house, "one-core.mjs"),
      `import { createRequire } from "node:module";
import { Sessions, StoreError } from "@tenure/core";
import { redisStore } from "@tenure/redis";
import { Redis } from "ioredis";
const required = createRequire(import.meta.url)("@tenure/core");
const sessions = new Sessions({ store: required.memoryStore() });
const { token } = await sessions.create({ cart: ["tea"] });
const session = await sessions.get(token);
await required.Sessions.prototype.save.call(sessions, session, { cart: [] });
const client = new Redis({ host: "127.0.0.1", port: 1, lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
client.on("error", () => {});
const failure = await redisStore(client).read("x").catch((error) => error);
console.log(JSON.stringify([(await sessions.get(token)).data, failure instanceof StoreError, failure instanceof required.StoreError]));`,
    );
    expect(JSON.parse(await run(house, node, "one-core.mjs"))).toEqual([{ cart: [] }, true, true]);
  });

  test.each(["README.md", "packages/fastify-session/README.md", "packages/koa-session/README.md"])(
    "runs the application of %s, which logs in and out, and out everywhere",
    async (readme) => {
      const [program] = programsOf(root, readme);
      if (!program) throw new Error("it has no code");
      const path = join(house, `${readme.replaceAll("/", "-")}-${version}.ts`);
      writeFileSync(path, program.text);
      const env = { ...process.env, SESSION_SECRET: "a secret of a test, as long as secrets should be" };
      const options = { execPath: node, execArgv: [], env };
      await expect(runAndVisit(path, program, options)).resolves.toBeUndefined();
    },
  );
});

test("Jest with ts-jest, as NestJS sets it up, imports every entry in a CommonJS project", async () => {
  const project = join(house, "jest");
  const compilerOptions = { module: "commonjs", esModuleInterop: true, types: ["node", "jest"] };
  writeProject(project, { type: "commonjs", compilerOptions }, programOn(specifiers()));
  const config = {
    moduleFileExtensions: ["js", "json", "ts"],
    testRegex: String.raw`.*\.spec\.ts$`,
    transform: { [String.raw`^.+\.(t|j)s$`]: "ts-jest" },
    testEnvironment: "node",
    watchman: false,
    cacheDirectory: join(house, "jest-cache"),
  };
  writeFileSync(join(project, "jest.config.json"), JSON.stringify(config));
  writeFileSync(
    join(project, "application.spec.ts"),
    `import { everything } from "./application";

test("every entry exports something", () => {
  expect(everything.filter((entry) => Object.keys(entry).length === 0)).toEqual([]);
});
`,
  );
  const report = join(project, "report.json");
  await run(project, join(house, "node_modules/.bin/jest"), "--ci", "--json", `--outputFile=${report}`);
  expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ numPassedTests: 1, numFailedTests: 0 });
});

// The following tests run concurrently: while one waits for the registry, others compile. The longest come
// first.

// `pnpm packed` runs these with other package managers and Node versions.
describe.concurrent("a fresh project, by npm on Node 24, logs in, logs out everywhere and is refused:", () => {
  let cell: Cell;
  beforeAll(async () => {
    cell = await prepareCell(outside, "npm", "24");
  }, LONG_MS);
  const running = (project: Project): Promise<void> =>
    runProject(project, cell, { house: outside, packed, postgres: postgres.url });

  test.each([typescript, esm, commonjs, jest, nest])(
    "$title",
    async (project) => {
      await expect(running(project)).resolves.toBeUndefined();
    },
    LONG_MS,
  );

  postgres.describe("with a server", () => {
    test(
      "One file by esbuild, with PostgreSQL and the migrations inside",
      async () => {
        await expect(running(bundle)).resolves.toBeUndefined();
      },
      LONG_MS,
    );
  });
});

test.concurrent("the conformance suite finds that the memory store keeps every promise, under Node 22's node:test", async () => {
  writeFileSync(
    join(house, "suite.mjs"),
    `import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "@tenure/conformance";
const store = memoryStore();
testStore({ describe, test }, { open: () => store, unreachable: null, mixedUp: null });`,
  );
  const report = await run(house, NODE_22, "--test", "--test-reporter=tap", "suite.mjs");
  expect(report).toMatch(/^# fail 0$/mu);
  expect(Number(/^# pass (\d+)$/mu.exec(report)?.[1])).toBeGreaterThan(100);
});

const checks = setups.flatMap((setup) =>
  setup.compilers.map((compiler) => {
    const folder = join(house, `${setup.title} ${compiler}`.replaceAll(/\W+/gu, "-"));
    return { ...setup, compiler, folder };
  }),
);
test.concurrent.each(checks)(
  "TypeScript $compiler type-checks an application of every package, and their declarations, with $title",
  async (check) => {
    const errors = await (check.compiler === 5 ? errorsBy5(check.folder) : errorsBy7(check));
    // A deliberate mistake shows that the program is checked at all.
    expect(errors).toEqual([expect.stringMatching(/^application\.ts.* TS2322: Type 'Sessions</u)]);
  },
  LONG_MS,
);

function writeCheck({ folder, ...setup }: (typeof checks)[number]): void {
  writeProject(folder, setup, `${programOn(specifiers())}\nexport const mistake: number = sessions;\n`);
}

let checkedBy5: Promise<Checked> | undefined;

/** One process checks all projects. */
async function errorsBy5(folder: string): Promise<readonly string[] | undefined> {
  checkedBy5 ??= (async () => {
    const by5 = checks.filter(({ compiler }) => compiler === 5);
    by5.forEach(writeCheck);
    const script = join(import.meta.dirname, "typescript-5.ts");
    const printed = await run(house, process.execPath, script, ...by5.map((check) => check.folder));
    return JSON.parse(printed) as Checked;
  })();
  return (await checkedBy5)[folder];
}

async function errorsBy7(check: (typeof checks)[number]): Promise<string[]> {
  writeCheck(check);
  const tsc = join(root, "node_modules/.bin/tsc");
  const output = await run(check.folder, tsc, "--pretty", "false").catch(String);
  // Errors in other packages' declarations are not Tenure's: those of pino need esModuleInterop.
  const isOthers = (line: string): boolean => /^\.\.\/node_modules\/(?!.*@tenure)/u.test(line);
  return output.split("\n").filter((line) => /error TS\d+:/u.test(line) && !isOthers(line));
}

function specifiers(): string[] {
  return packed.flatMap(({ entries }) => entries.map(({ specifier }) => specifier));
}

/** Returns the files that a manifest names in `exports`, in `main` and `types`, and in `bin`. */
function namedBy({ exports, main, types, bin = {} }: Manifest): string[] {
  return [...pathsIn(exports), main, types, ...Object.values(bin)];
}

function pathsIn(exports: Exports): string[] {
  return typeof exports === "string" ? [exports] : Object.values(exports).flatMap(pathsIn);
}

/** Judges each package. Returns the results by package name. */
function ofEach<Value>(judge: (one: Packed) => Value): Record<string, Value> {
  return Object.fromEntries(packed.map((one) => [one.name, judge(one)]));
}

/** Installs all tarballs, and the peers and tools in the versions of the workspace. */
async function install(): Promise<void> {
  const tarballs = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]));
  const peers = packed.flatMap(({ manifest }) => Object.keys(manifest.peerDependencies ?? {}));
  const applications = ["express", "@fastify/cookie", "koa", "@types/express", "@types/koa", "@types/pg"];
  const tools = ["jest", "ts-jest", "@types/jest", "@types/node"];
  const wanted = [...peers, ...applications, ...tools].filter((name) => !(name in tarballs));
  const versions = Object.fromEntries(wanted.map((name) => [name, versionOf(name)]));
  const dependencies = { ...versions, ...tarballs, typescript: versionOf("typescript-5") };
  writeFileSync(join(house, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }));
  // The packages depend on a version of each other that is not on the registry yet.
  const overrides = Object.entries(tarballs).map(([name, tarball]) => `  "${name}": "${tarball}"`);
  writeFileSync(join(house, "pnpm-workspace.yaml"), `packages: []\noverrides:\n${overrides.join("\n")}\n`);
  await pnpm(house, "install", "--prefer-offline", "--ignore-scripts");
}
