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

describe("a program in the documentation", () => {
  test.each(withCookieSecret.map((program) => [placeOf(program), program]))(
    "has, on its page, a command that generates its cookie secret: %s",
    (_, { readme }) => {
      expect(read(readme)).toContain("openssl rand -base64 32");
    },
  );

  test.each(withRefusal.map((program) => [placeOf(program), program]))(
    "responds to a refused login with status 409: %s",
    (_, { text }) => {
      expect(text).toContain("409");
    },
  );

  test.each(installed.map((program) => [placeOf(program), program]))(
    "imports only packages that a command above it installs: %s",
    (_, program) => {
      expect(importsOf(program).filter((name) => !installs(program).includes(name))).toEqual([]);
    },
  );
});

test("every published package requires the same minimum version of Node, and the READMEs state that version", () => {
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
