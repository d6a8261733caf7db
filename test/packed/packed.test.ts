import {
  globSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { programsOf } from "../readme/programs.ts";
import { runAndVisit } from "../readme/run-and-visit.ts";
import { programOn, setups, writeProject } from "./compilers.ts";
import { type Exports, type Manifest, type Packed, packAll, pnpm, run, SOURCE, versionOf } from "./pack.ts";
import { expressApplication } from "./projects/express.ts";
import { jestTests } from "./projects/jest.ts";
import type { Checked } from "./typescript-5.ts";
import measured from "./sizes.json" with { type: "json" };

const root = join(import.meta.dirname, "../..");
const NODE_22 = join(root, "test/node_modules/node-22/bin/node");
/**
 * A folder outside of the workspace, so that projects find none of its packages by chance. All projects in it
 * share one installation. `pnpm packed` tests projects that install the packages themselves.
 */
const sharedFolder = realpathSync(mkdtempSync(join(tmpdir(), "tenure-packed-")));
/** The timeout of tests that run concurrently and share the processor. */
const LONG_MS = 600_000;

let packed: Packed[];
beforeAll(async () => {
  packed = await packAll(sharedFolder);
  await install();
}, 300_000);
afterAll(() => {
  rmSync(sharedFolder, { recursive: true, force: true, maxRetries: 5 });
});

describe("the tarball of every package", () => {
  test("has at least four files", () => {
    expect(packed.map(({ name }) => name)).toEqual(expect.arrayContaining(["@tenure/core", "@tenure/redis"]));
    expect(packed.filter(({ files }) => files.size < 4)).toEqual([]);
  });

  test("contains the built files, its README and its license, and nothing that is only for development", () => {
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

  test("does not contain the path of the folder that it was built in", () => {
    const revealing = ofEach(({ files }) =>
      [...files].filter(([, content]) => content.includes(root)).map(([path]) => path),
    );
    expect(revealing).toEqual(ofEach(() => []));
  });

  test("depends only on version ranges that a registry understands, and contains every file that its manifest names", () => {
    const invalid = ofEach(({ manifest: { dependencies, peerDependencies } }) =>
      Object.values({ ...dependencies, ...peerDependencies }).filter(
        (range) => !/^[\d^~>=<| .x*-]+$/u.test(range),
      ),
    );
    expect(invalid).toEqual(ofEach(() => []));
    const absent = ofEach(({ files, manifest }) =>
      namedBy(manifest).filter((path) => !files.has(path.replace("./", ""))),
    );
    expect(absent).toEqual(ofEach(() => []));
  });

  test("is at most 15 % larger than its size in sizes.json", () => {
    const now = ofEach(({ tarball }) => statSync(tarball).size);
    expect(Object.keys(now).toSorted()).toEqual(Object.keys(measured).toSorted());
    const grown = Object.entries(measured).filter(([name, size]) => (now[name] ?? 0) > size * 1.15);
    // If a package grows intentionally, update sizes.json.
    expect({ grown: Object.fromEntries(grown), now }).toEqual({ grown: {}, now });
  });

  test("does not name the export condition that only the workspace uses", () => {
    const naming = ofEach(({ manifest }) => JSON.stringify(manifest.exports).includes(SOURCE));
    expect(naming).toEqual(ofEach(() => false));
  });
});

test("core has no dependencies, and is a peer dependency of every other package, so that an application has one copy", () => {
  const others = packed.filter(({ name }) => name !== "@tenure/core");
  expect(others.filter(({ manifest }) => !manifest.peerDependencies?.["@tenure/core"])).toEqual([]);
  expect(ofEach(({ manifest }) => Object.keys(manifest.dependencies ?? {}))).toEqual({
    ...ofEach(() => []),
    "@tenure/conformance": ["fast-check"],
    // The command line is run with npx, outside of any project.
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

test("the Redis package imports neither client in its code or declarations, so a project needs to install only one", () => {
  const dist = join(sharedFolder, "node_modules/@tenure/redis/dist");
  const files = globSync("**/*.{js,cjs,ts,cts}", { cwd: dist });
  expect(files.length).toBeGreaterThan(3);
  const importing = files.filter((file) =>
    /(?:from|require\(|import\()\s*["'](?:ioredis|redis|@redis\/[^"']*)["']/u.test(
      readFileSync(join(dist, file), "utf8"),
    ),
  );
  expect(importing).toEqual([]);
  const { manifest } = packed.find(({ name }) => name === "@tenure/redis")!;
  expect(manifest.peerDependenciesMeta).toMatchObject({
    ioredis: { optional: true },
    redis: { optional: true },
  });
});

test("Are the Types Wrong finds no problem: every kind of module resolution finds types that match the code", async () => {
  for (const { name, tarball } of packed) {
    const { types, ...analysis } = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    const problems = "problems" in analysis ? analysis.problems : [];
    expect({ name, typed: types !== false, problems }).toEqual({ name, typed: true, problems: [] });
  }
});

test("publint in strict mode reports nothing about the tarballs", async () => {
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
  test("is the version that the tests of this group run", async () => {
    expect(await run(sharedFolder, node, "--version")).toMatch(new RegExp(`^v${version}\\.`, "u"));
  });

  test("runs the command line", async () => {
    const help = await run(sharedFolder, node, "node_modules/@tenure/cli/dist/bin.cjs", "--help");
    expect(help).toContain("Usage: tenure");
  });

  test("gets the same copy of every entry from import and from require, with the exports of its source", async () => {
    const entries = packed.flatMap((one) => one.entries);
    const exported: Record<string, string[]> = {};
    for (const { specifier, source } of entries) {
      exported[specifier] = Object.keys((await import(source)) as object).toSorted();
    }
    expect(Object.values(exported)).not.toContainEqual([]);
    writeFileSync(
      join(sharedFolder, "entries.mjs"),
      `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const names = {};
for (const entry of ${JSON.stringify(Object.keys(exported))}) {
  const [imported, required] = [await import(entry), require(entry)];
  const copies = Object.keys(imported).filter((name) => imported[name] !== required[name]);
  if (copies.length > 0) throw new Error(entry + " has two copies of " + copies);
  if (Object.keys(required).sort().join() !== Object.keys(imported).join()) throw new Error(entry + " has different exports when it is required");
  names[entry] = Object.keys(imported);
}
console.log(JSON.stringify(names));`,
    );
    expect(JSON.parse(await run(sharedFolder, node, "entries.mjs"))).toEqual(exported);
  });

  test("can use a store and errors from require together with Sessions from import", async () => {
    writeFileSync(
      join(sharedFolder, "one-core.mjs"),
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
    expect(JSON.parse(await run(sharedFolder, node, "one-core.mjs"))).toEqual([{ cart: [] }, true, true]);
  });

  test.each(["README.md", "packages/fastify-session/README.md", "packages/koa-session/README.md"])(
    "runs the application in %s, in which users log in, log out and log out everywhere",
    async (readme) => {
      const [program] = programsOf(root, readme);
      if (!program) throw new Error(`${readme} has no code.`);
      const path = join(sharedFolder, `${readme.replaceAll("/", "-")}-${version}.ts`);
      writeFileSync(path, program.text);
      const env = { ...process.env, SESSION_SECRET: "a secret of a test, as long as secrets should be" };
      const options = { execPath: node, execArgv: [], env };
      await expect(runAndVisit(path, program, options)).resolves.toBeUndefined();
    },
  );
});

test("Jest with ts-jest and the settings of NestJS imports every entry and tests an application in a CommonJS project", async () => {
  const project = join(sharedFolder, "jest");
  const compilerOptions = { module: "commonjs", esModuleInterop: true, types: ["node", "jest"] };
  writeProject(project, { type: "commonjs", compilerOptions }, programOn(specifiers()));
  const config = {
    moduleFileExtensions: ["js", "json", "ts"],
    testRegex: String.raw`.*\.spec\.ts$`,
    transform: { [String.raw`^.+\.(t|j)s$`]: "ts-jest" },
    testEnvironment: "node",
    watchman: false,
    cacheDirectory: join(sharedFolder, "jest-cache"),
  };
  writeFileSync(join(project, "jest.config.json"), JSON.stringify(config));
  renameSync(join(project, "application.ts"), join(project, "everything.ts"));
  writeFileSync(
    join(project, "everything.spec.ts"),
    `import { everything } from "./everything";

test("every entry exports something", () => {
  expect(everything.filter((entry) => Object.keys(entry).length === 0)).toEqual([]);
});
`,
  );
  writeFileSync(join(project, "application.ts"), expressApplication);
  writeFileSync(join(project, "application.spec.ts"), jestTests);
  const report = join(project, "report.json");
  const bin = join(sharedFolder, "node_modules/.bin/jest");
  await run(project, bin, "--ci", "--runInBand", "--json", `--outputFile=${report}`);
  expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ numPassedTests: 3, numFailedTests: 0 });
});

// The following tests run concurrently. The longest come first.

test.concurrent("the memory store passes the conformance suite under node:test on Node 22", async () => {
  writeFileSync(
    join(sharedFolder, "suite.mjs"),
    `import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "@tenure/conformance";
const store = memoryStore();
testStore({ describe, test }, { open: () => store, unreachable: null, mixedUp: null });`,
  );
  const report = await run(sharedFolder, NODE_22, "--test", "--test-reporter=tap", "suite.mjs");
  expect(report).toMatch(/^# fail 0$/mu);
  expect(Number(/^# pass (\d+)$/mu.exec(report)?.[1])).toBeGreaterThan(100);
});

const checks = setups.flatMap((setup) =>
  setup.compilers.map((compiler) => {
    const folder = join(sharedFolder, `${setup.title} ${compiler}`.replaceAll(/\W+/gu, "-"));
    return { ...setup, compiler, folder };
  }),
);
test.concurrent.each(checks)(
  "TypeScript $compiler, with $title, type-checks an application that uses every package, and their declarations",
  async (check) => {
    const errors = await (check.compiler === 5 ? errorsBy5(check.folder) : errorsBy7(check));
    // The deliberate mistake proves that the program is checked.
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
    const printed = await run(sharedFolder, process.execPath, script, ...by5.map((check) => check.folder));
    return JSON.parse(printed) as Checked;
  })();
  return (await checkedBy5)[folder];
}

async function errorsBy7(check: (typeof checks)[number]): Promise<string[]> {
  writeCheck(check);
  const tsc = join(root, "node_modules/.bin/tsc");
  const output = await run(check.folder, tsc, "--pretty", "false").catch(String);
  // Errors in third-party declarations are not Tenure's: those of pino need esModuleInterop.
  const isThirdParty = (line: string): boolean => /^\.\.\/node_modules\/(?!.*@tenure)/u.test(line);
  return output.split("\n").filter((line) => /error TS\d+:/u.test(line) && !isThirdParty(line));
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

/** Calls a function for each package. Returns the results by package name. */
function ofEach<Value>(compute: (one: Packed) => Value): Record<string, Value> {
  return Object.fromEntries(packed.map((one) => [one.name, compute(one)]));
}

/** Installs all tarballs, and their peers and the tools in the versions of the workspace. */
async function install(): Promise<void> {
  const tarballs = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]));
  const peers = packed.flatMap(({ manifest }) => Object.keys(manifest.peerDependencies ?? {}));
  const applications = ["express", "@fastify/cookie", "koa", "@types/express", "@types/koa", "@types/pg"];
  const tools = ["jest", "ts-jest", "@types/jest", "@types/node"];
  const wanted = [...peers, ...applications, ...tools].filter((name) => !(name in tarballs));
  const versions = Object.fromEntries(wanted.map((name) => [name, versionOf(name)]));
  const dependencies = { ...versions, ...tarballs, typescript: versionOf("typescript-5") };
  writeFileSync(
    join(sharedFolder, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies }),
  );
  // The packages depend on each other in a version that is not on the registry yet.
  const overrides = Object.entries(tarballs).map(([name, tarball]) => `  "${name}": "${tarball}"`);
  writeFileSync(
    join(sharedFolder, "pnpm-workspace.yaml"),
    `packages: []\noverrides:\n${overrides.join("\n")}\n`,
  );
  await pnpm(sharedFolder, "install", "--prefer-offline", "--ignore-scripts");
}
