import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, join, posix } from "node:path";
import { root } from "./pages.ts";

/**
 * Resolves the links between pages, and collects the files of the repository that are on the site because a
 * page links to them.
 */
export class Links {
  /** Maps a file to its page. */
  readonly #pages: ReadonlyMap<string, string>;
  /** Linked files and folders that are not pages themselves. */
  readonly sources = new Set<string>();
  readonly images = new Set<string>();
  /** The broken links, each as a sentence. */
  readonly broken = new Set<string>();

  constructor(pages: ReadonlyMap<string, string>) {
    this.#pages = pages;
  }

  resolve = (source: string, link: string): string => {
    if (/^[a-z]+:/iu.test(link) || link.startsWith("#")) return link;
    const [path = "", anchor] = link.split("#");
    const target = posix.join(dirname(source), decodeURIComponent(path)).replace(/\/$/u, "");
    const from = this.pathOf(source);
    const to = this.#pathOfTarget(target);
    if (to === null) {
      this.broken.add(`${source} links to ${link}, which does not exist.`);
      return link;
    }
    return relative(from, to) + (anchor === undefined ? "" : `#${anchor}`);
  };

  pathOf(source: string): string {
    return this.#pages.get(source) ?? sourcePath(source);
  }

  #pathOfTarget(target: string): string | null {
    const page = this.#pages.get(target) ?? this.#pages.get(posix.join(target, "README.md"));
    if (page !== undefined) return page;
    if (!existsSync(join(root, target))) return null;
    if (/\.(?:svg|png)$/u.test(target)) {
      this.images.add(target);
      return target;
    }
    this.sources.add(target);
    return sourcePath(target);
  }
}

function sourcePath(source: string): string {
  return `source/${source}.html`;
}

/** Returns the relative link from one page of the site to another, which is valid under any base URL. */
export function relative(from: string, to: string): string {
  return posix.relative(dirname(from), to);
}

export function sourcePage(source: string): string {
  const path = join(root, source);
  if (statSync(path).isDirectory()) return `# ${source}\n\n${entriesOf(path)}`;
  const language = extname(source).slice(1);
  return `# ${source}\n\n${FENCE}${language}\n${readFileSync(path, "utf8").trimEnd()}\n${FENCE}\n`;
}

/** Longer than any fence in a file. */
const FENCE = "~~~~~~~~";

function entriesOf(folder: string): string {
  const names = readdirSync(folder).filter((name) => !["node_modules", "dist", ".turbo"].includes(name));
  return names.map((name) => `- \`${name}\`\n`).join("");
}
