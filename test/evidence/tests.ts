import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A test whose title ends in the ids of requirements: "… (ASVS 7.4.1, 7.5.2, NIST 5.1)". */
export interface Evidence {
  /** Relative to the root. */
  readonly path: string;
  /** The title, without the ids. */
  readonly title: string;
  /** In the form "ASVS 7.4.1". */
  readonly ids: readonly string[];
}

/** Returns all such tests of the repository, in the order of their paths and places. */
export function evidenceIn(root: string): Evidence[] {
  const options = { cwd: root, exclude: (path: string) => /node_modules|\.programs/u.test(path) };
  const paths = FILES.flatMap((pattern) => globSync(pattern, options)).filter((path) => !REPEATS.has(path));
  return paths.toSorted().flatMap((path) => titlesIn(readFileSync(join(root, path), "utf8"), path));
}

const FILES = [
  "packages/*/test/**/*.test.ts",
  "packages/conformance/src/chapters/*.ts",
  "test/*/*.test.ts",
  "examples/*/test/*.test.ts",
];

/** These repeat titles of the conformance suite, to list which of its tests fail or pass. */
const REPEATS: ReadonlySet<string> = new Set([
  "packages/conformance/test/under-node-test.test.ts",
  "packages/mongo/test/conformance-transactions.test.ts",
]);

function titlesIn(text: string, path: string): Evidence[] {
  return [...text.matchAll(TITLE)].map(([, , title = "", marks = ""]) => ({
    path,
    title,
    ids: idsIn(marks),
  }));
}

const TITLE = /(["'`])((?:(?!\1).)+) \(((?:ASVS|NIST) [\d., ASVNIT]+)\)\1/gu;

/** In "ASVS 7.4.1, 7.5.2, NIST 5.1", each standard applies until the next one. */
function idsIn(marks: string): string[] {
  let standard = "";
  return marks.split(", ").map((mark) => {
    const [first = "", second] = mark.split(" ");
    if (second === undefined) return `${standard} ${first}`;
    standard = first;
    return mark;
  });
}
