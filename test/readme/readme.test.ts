import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type Backend, server } from "@tenure/servers";
import { afterAll, describe, expect, test } from "vitest";
import { endNetworks, networkOf } from "./network.ts";
import { paragraphBelow, type Program, programsOf } from "./programs.ts";
import { readmesOf } from "./readmes.ts";
import { runAndVisit } from "./run-and-visit.ts";

const root = join(import.meta.dirname, "../..");
/** A folder in the workspace, so that imports resolve as they do for its packages. */
const programsFolder = join(import.meta.dirname, ".programs", String(process.pid));

/**
 * Documents whose code is incomplete: dots stand for the rest. A test below compares the contract in it with
 * the code.
 */
const incomplete: ReadonlySet<string> = new Set(["docs/ARCHITECTURE.md"]);

const readmes = readmesOf(root).filter((path) => !incomplete.has(path));

const servers = {
  redis: await server("redis"),
  postgres: await server("postgres"),
  mongo: await server("mongo"),
};

afterAll(async () => {
  rmSync(programsFolder, { recursive: true, force: true });
  await endNetworks();
});

/** The programs of all READMEs, by the folder that each is written to. */
const programs = new Map(
  readmes.flatMap((readme) =>
    programsOf(root, readme).map((program) => {
      const name = `${readme.replaceAll(/[/.]/gu, "-")}-${program.line}`;
      return [join(programsFolder, name), program] as const;
    }),
  ),
);

for (const readme of readmes) {
  const own = [...programs].filter(([, program]) => program.readme === readme);
  if (own.length === 0) continue;
  describe(`the code in ${readme}`, () => {
    for (const [folder, program] of own) {
      test(`line ${program.line} compiles`, async () => {
        const errors = (await (compiled ??= compile()))(folder);
        expect(errors.replaceAll(/^\S*program\.ts/gmu, readme), `${readme}, from line ${program.line}`).toBe(
          "",
        );
      });

      describeWithServers(program)(`line ${program.line}`, () => {
        test("runs", async () => {
          writeProgram(folder, program);
          const running = isTestFile(program) ? runVitest(folder) : runNode(folder, program);
          await expect(running).resolves.toBeUndefined();
        });

        if (!program.text.includes(SECURE)) return;
        test("runs on http://localhost with the change that the text below it states", async () => {
          const [change] = /secureCookie\(sessions, .+?\)/u.exec(paragraphBelow(root, program)) ?? [];
          const text = program.text.replace(SECURE, change ?? "");
          writeProgram(`${folder}-plain`, { ...program, text });
          const running = runNode(`${folder}-plain`, program, { TENURE_README_PLAIN: "1" });
          await expect(running).resolves.toBeUndefined();
        });
      });
    }
  });
}

test("the example of README.md has at most 15 lines", () => {
  const [example, ...others] = programsOf(root, "README.md");
  expect(others).toEqual([]);
  const lines = example?.text.trim().split("\n") ?? [];
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThanOrEqual(15);
});

test("the contract in docs/ARCHITECTURE.md has the types of the code", async () => {
  const contract = programsOf(root, "docs/ARCHITECTURE.md").find(({ text }) =>
    /interface SessionStore\b/u.test(text),
  );
  const compared = `import type * as real from "@tenure/core";
import type { NewSession, SessionChanges, UpdateResult } from "@tenure/core";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const sameRecord: Same<keyof SessionRecord, keyof real.SessionRecord> = true;
const sameStore: Same<keyof SessionStore, keyof real.SessionStore> = true;
const record = (documented: SessionRecord): real.SessionRecord => documented;
const recordBack = (actual: real.SessionRecord): SessionRecord => actual;
const store = (documented: SessionStore): real.SessionStore => documented;
const storeBack = (actual: real.SessionStore): SessionStore => actual;
export { record, recordBack, sameRecord, sameStore, store, storeBack };
`;
  // The code after the contract is incomplete.
  const [text = ""] = contract?.text.split("\nconst sessions") ?? [];
  const folder = join(programsFolder, "contract");
  writeProgram(folder, { readme: "docs/ARCHITECTURE.md", line: 1, text: text + compared });
  writeSettings(folder, ["program.ts"]);
  expect(await tsc("-p", folder)).toBe("");
});

/** A cookie that browsers send only over HTTPS. */
const SECURE = "secureCookie(sessions)";

let compiled: ReturnType<typeof compile> | undefined;

/** Compiles all programs. Resolves to the errors of each, by its folder. */
async function compile(): Promise<(folder: string) => string> {
  const projects = Map.groupBy(programs, ([folder, { text }]) => projectKey(text) ?? folder);
  for (const [folder, program] of programs) writeProgram(folder, program);
  const folders = [...projects.values()].map((members, index) => {
    const folder = join(programsFolder, `project-${index}`);
    writeSettings(
      folder,
      members.map(([member]) => join(member, "program.ts")),
    );
    return folder;
  });
  const output = await tsc("-b", "--pretty", "false", ...folders);
  const errors = output.split(/\n(?=\S)/u).filter(Boolean);
  const placeOf = (error: string) => dirname(join(root, error.split("(")[0]!));
  return (folder) =>
    errors.filter((error) => placeOf(error) === folder || !programs.has(placeOf(error))).join("\n");
}

/**
 * Returns the key of the project that a program is compiled in. Programs with the same key import the same
 * packages that may augment declarations, so none sees a declaration that it would not see alone.
 * `undefined`: the program augments declarations itself, and is compiled alone.
 */
function projectKey(text: string): string | undefined {
  if (/^\s*declare (?:module|global)\b/mu.test(text)) return undefined;
  const imported = [...text.matchAll(/\b(?:from|import) "([^"]+)"/gu)].map(([, specifier = ""]) => specifier);
  return [...new Set(imported.filter((specifier) => !WITHOUT_AUGMENTATIONS.test(specifier)))]
    .toSorted()
    .join();
}

/** Packages that do not augment declarations: Node's own, Tenure's stores, and their drivers. */
const WITHOUT_AUGMENTATIONS =
  /^(?:node:.*|@tenure\/(?:core|redis|postgres|mongo|sqlite)(?:\/.*)?|ioredis|redis|pg|mongodb|\.\/.*)$/u;

/** @returns its output, which is empty if there are no errors */
async function tsc(...args: string[]): Promise<string> {
  const path = join(root, "node_modules/.bin/tsc");
  const { stdout } = await promisify(execFile)(path, args, { cwd: root }).catch((error: unknown) =>
    error instanceof Error && "stdout" in error ? { stdout: String(error.stdout) } : Promise.reject(error),
  );
  return stdout;
}

function writeProgram(folder: string, { readme, text }: Program): void {
  mkdirSync(folder, { recursive: true });
  const companions = join(import.meta.dirname, "companions", readme.replaceAll(/[/.]/gu, "-"));
  if (existsSync(companions)) cpSync(companions, folder, { recursive: true });
  // A program that creates an app without serving it exports it, so that run.ts can serve it.
  const isUnserved = /^(?:const|let) app\b/mu.test(text) && !/^export\b.*\bapp\b|\.listen\(/mu.test(text);
  writeFileSync(join(folder, "program.ts"), isUnserved ? `${text}export { app };\n` : text);
}

function writeSettings(folder: string, files: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "@tenure/tsconfig/base.json",
      compilerOptions: { moduleDetection: "force" },
      files,
    }),
  );
}

/** Returns the shared servers that a program needs. It needs none if it has its own network. */
function backendsOf({ text }: Program): (Backend & keyof typeof servers)[] {
  const backends: (Backend & keyof typeof servers)[] = [];
  if (networkOf(text)) return backends;
  if (/from "(?:ioredis|@tenure\/redis|\.\/your-store\.ts)"/u.test(text)) backends.push("redis");
  if (/from "(?:pg|@tenure\/postgres)"/u.test(text)) backends.push("postgres");
  if (/from "(?:mongodb|@tenure\/mongo)"/u.test(text)) backends.push("mongo");
  return backends;
}

/** Returns a `describe` that skips the program's tests, with a message, if one of its backends is missing. */
function describeWithServers(program: Program): typeof describe {
  const describes = backendsOf(program).map((backend) => servers[backend].describe);
  const network = networkOf(program.text);
  if (network) describes.push(network.describe);
  return describes.find((one) => one !== describe) ?? describe;
}

function environment(ports: Readonly<Record<string, number>> = {}): NodeJS.ProcessEnv {
  const postgres = new URL(servers.postgres.url);
  return {
    ...process.env,
    SESSION_SECRET: "a secret of a test, as long as secrets should be",
    SESSION_KEY: Buffer.alloc(32, 1).toString("base64"),
    SESSION_KEY_NEXT: Buffer.alloc(32, 2).toString("base64"),
    TENURE_REDIS_URL: servers.redis.url,
    REDIS_URL: servers.redis.url,
    DATABASE_URL: servers.postgres.url,
    MONGODB_URL: servers.mongo.url,
    PGUSER: decodeURIComponent(postgres.username),
    PGPASSWORD: decodeURIComponent(postgres.password),
    PGDATABASE: postgres.pathname.slice(1),
    PGHOST: "127.0.0.1",
    TENURE_README_PORTS: JSON.stringify({
      6379: portOf(servers.redis.url),
      5432: portOf(servers.postgres.url),
      27017: portOf(servers.mongo.url),
      ...ports,
    }),
  };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

async function runNode(folder: string, program: Program, more: NodeJS.ProcessEnv = {}): Promise<void> {
  const execArgv = ["--conditions=@tenure/source", "--import", join(import.meta.dirname, "usual-ports.ts")];
  const env = { ...environment(await networkOf(program.text)?.ports()), ...more };
  await runAndVisit(join(folder, "program.ts"), program, { cwd: folder, execArgv, env });
}

/** Runs a program that is a test file. Of the conformance suite, only one chapter runs. */
async function runVitest(folder: string): Promise<void> {
  const { success, testResults, output } = await (tested ??= runAllVitest());
  const own = testResults.find(({ name }) => name === join(folder, "program.ts"));
  const anyPassed = own?.assertionResults.some(({ status }) => status === "passed");
  expect({ success, anyPassed }, `vitest printed:\n${output}`).toEqual({ success: true, anyPassed: true });
}

let tested: ReturnType<typeof runAllVitest> | undefined;

/** Runs all test files in one vitest, because starting it takes longer than their tests. */
async function runAllVitest(): Promise<TestReport & { readonly output: string }> {
  const files: string[] = [];
  for (const [folder, program] of programs) {
    if (!isTestFile(program)) continue;
    writeProgram(folder, program);
    files.push(join(folder, "program.ts"));
  }
  const config = join(import.meta.dirname, "vitest.programs.config.ts");
  const vitest = join(root, "node_modules/.bin/vitest");
  const report = join(programsFolder, "report.json");
  const args = ["run", "--config", config, "--testNamePattern", CHAPTER, "--dir", programsFolder, ...files];
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const { stdout } = await promisify(execFile)(vitest, [...args, ...reporters], {
    cwd: root,
    env: environment(),
  }).catch((error: unknown) => ({
    stdout: error instanceof Error && "stdout" in error ? String(error.stdout) : String(error),
  }));
  if (!existsSync(report)) throw new Error(stdout);
  return { ...(JSON.parse(readFileSync(report, "utf8")) as TestReport), output: stdout };
}

interface TestReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

function isTestFile({ text }: Program): boolean {
  return /from "vitest"/u.test(text);
}

/** The chapter of the conformance suite. The tests of other programs have the title "…". */
const CHAPTER = "Create never overwrites|…";
