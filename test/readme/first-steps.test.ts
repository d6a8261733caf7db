import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Program, programsOf } from "./programs.ts";
import { readmesOf } from "./readmes.ts";

const root = join(import.meta.dirname, "../..");
const programs = readmesOf(root).flatMap((readme) => programsOf(root, readme));
const withCookieSecret = programs.filter(({ text }) => text.includes("process.env.SESSION_SECRET"));
const withRefusal = programs.filter(({ text }) => /\bif \((?:\w+\.)?refused\b|\brefused [?]/u.test(text));

/** Programs below a command that installs packages. A page may install a framework once, for several. */
const installed = programs.filter((program) => installs(program).length > 0);

describe("a reader who copies a program", () => {
  test.each(withCookieSecret.map((program) => [placeOf(program), program]))(
    "learns how to make a cookie secret: %s",
    (_, { readme }) => {
      expect(read(readme)).toContain("openssl rand -base64 32");
    },
  );

  test.each(withRefusal.map((program) => [placeOf(program), program]))(
    "answers a refused login with 409: %s",
    (_, { text }) => {
      expect(text).toContain("409");
    },
  );

  test.each(installed.map((program) => [placeOf(program), program]))(
    "has installed what it imports: %s",
    (_, program) => {
      expect(importsOf(program).filter((name) => !installs(program).includes(name))).toEqual([]);
    },
  );
});

test("every published package has the same minimum of Node, and the READMEs state no other", () => {
  const engines = globSync("packages/*/package.json", { cwd: root }).map((path) => {
    return (JSON.parse(read(path)) as { engines: { node: string } }).engines.node;
  });
  expect(new Set(engines)).toEqual(new Set([">=22.13"]));
  const readmes = ["README.md", ...globSync("packages/*/README.md", { cwd: root })].map(read).join("\n");
  const stated = [...readmes.matchAll(/Node ≥ ([\d.]+)[.;]|Node ([\d.]+) or later/gu)];
  expect(new Set(stated.map(([, first, second]) => first ?? second))).toEqual(new Set(["22.13"]));
});

function placeOf({ readme, line }: Program): string {
  return `${readme}:${line}`;
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** Returns the packages in the commands above a program. */
function installs({ readme, line }: Program): string[] {
  const above = read(readme).split("\n").slice(0, line).join("\n");
  return [...above.matchAll(/\bnpm install ([^`\n]+)/gu)].flatMap(([, names = ""]) => names.split(" "));
}

/** Returns the packages that a program imports. A reader who copies a test has a test runner. */
function importsOf({ text }: Program): string[] {
  const specifiers = [...text.matchAll(/\b(?:from|import) "([^".][^"]*)"/gu)].map(([, name = ""]) => name);
  const names = specifiers.map((name) => /^(?:@[^/]+\/)?[^/]+/u.exec(name)?.[0] ?? name);
  return names.filter((name) => !name.startsWith("node:") && name !== "vitest");
}
