import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

test("the twelve promises have the same names in the README, the architecture and the conformance suite", () => {
  const promised = matches(/^\d+\. \*\*(.+?)\.\*\*/gmu, "docs/ARCHITECTURE.md");
  expect(promised).toHaveLength(12);
  const [, table = ""] = read("README.md").split(/^## What it promises$/mu);
  const [rows = ""] = table.split(/^## /mu);
  const inTable = [...rows.matchAll(/^\| (\w.+?) \|/gmu)].map(([, name = ""]) => name);
  expect(inTable).toEqual(promised);
  const suite = matches(/^\| \d+\. (.+?) \|/gmu, "packages/conformance/README.md");
  expect(suite).toEqual(promised);
  const chapters = globSync("packages/conformance/src/chapters/*.ts", { cwd: root });
  const titles = matches(/^ {2}title: "\d+\. ([^":]+)/gmu, ...chapters);
  expect(new Set(titles)).toEqual(new Set(promised));
});

function matches(pattern: RegExp, ...paths: readonly string[]): string[] {
  return paths.flatMap((path) => [...read(path).matchAll(pattern)].map(([, name = ""]) => name));
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
