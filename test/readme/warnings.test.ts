import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

test("docs/OPERATING.md lists the code of every warning in the sources, and no other", () => {
  const sources = globSync("packages/*/src/**/*.ts", { cwd: root }).map(read);
  const codes = sources.flatMap((text) => text.match(CODE) ?? []);
  const listed = [...read("docs/OPERATING.md").matchAll(/^\| `(TENURE_\w+)` \|/gmu)].map(([, code]) => code);
  expect(listed.length).toBeGreaterThan(10);
  expect(listed).toEqual([...new Set(codes.map((code) => code.trim()))].toSorted());
});

/** Matches a string that does not name an environment variable, and a key of the bridges' messages. */
const CODE = /(?<!env\[")(?<=")TENURE_\w+(?=")|^ {2}TENURE_\w+(?=:$)/gmu;

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
