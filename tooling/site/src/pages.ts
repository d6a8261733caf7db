import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../../..");

/** A page of the site that is generated from a file of the repository. */
export interface Page {
  /** The file's path, relative to the root of the repository. */
  readonly source: string;
  /** The page's path, relative to the root of the site. */
  readonly path: string;
  readonly title: string;
}

export interface Section {
  readonly title: string;
  readonly pages: readonly Page[];
}

/** The order of the navigation. A file belongs to the first section that names it. */
const CONTENTS: Readonly<Record<string, readonly string[]>> = {
  Start: ["README.md", "docs/START-*.md", "docs/CHOOSING-A-STORE.md"],
  Guides: [
    "docs/LOG-OUT-EVERYWHERE.md",
    "docs/YOUR-DEVICES.md",
    "docs/TIMEOUTS.md",
    "docs/PROTECTED-DATA.md",
    "docs/OPEN-CONNECTIONS.md",
    "docs/OPERATING.md",
  ],
  Promises: ["docs/PROMISES.md", "docs/ASVS.md", "docs/NIST.md", "SECURITY.md", "test/bench/README.md"],
  Packages: [
    "packages/core/README.md",
    "packages/{redis,postgres,mongo,sqlite}/README.md",
    "packages/*-session/README.md",
    "packages/cli/README.md",
    "packages/*/README.md",
  ],
  Extend: ["docs/write-a-bridge.md", "docs/ARCHITECTURE.md", "docs/*.md"],
  Project: [
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
    "packages/core/CHANGELOG.md",
    "*.md",
    "examples/*/README.md",
  ],
};

export function sections(): Section[] {
  const placed = new Set<string>();
  const all = Object.entries(CONTENTS).map(([title, patterns]) => {
    const sources = patterns.flatMap((pattern) => globSync(pattern, { cwd: root }).toSorted());
    const own = sources.filter((source) => !placed.has(source) && placed.add(source));
    return { title, pages: own.map((source) => ({ source, path: pathOf(source), title: titleOf(source) })) };
  });
  return all.filter(({ pages }) => pages.length > 0);
}

function pathOf(source: string): string {
  if (source === "README.md") return "index.html";
  return `${source.replace(/(?:\/README)?\.md$/u, "").toLowerCase()}.html`;
}

function titleOf(source: string): string {
  const [, title] = /^# (.+)$/mu.exec(readFileSync(join(root, source), "utf8")) ?? [];
  if (title === undefined) throw new Error(`${source} has no heading.`);
  return title.replaceAll("`", "");
}
