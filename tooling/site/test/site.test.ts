import { execFile, execFileSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root, sections } from "../src/pages.ts";

const site = mkdtempSync(join(tmpdir(), "tenure-site-"));
const pages = new Map<string, string>();

/** Building the site fails if an export has no comment, or a page links to a file that does not exist. */
beforeAll(async () => {
  const eleventy = join(import.meta.dirname, "../node_modules/.bin/eleventy");
  const args = ["--config=src/config.ts", "--quiet", `--output=${site}`];
  const cwd = join(import.meta.dirname, "..");
  await promisify(execFile)(eleventy, args, { cwd }).catch((error: unknown) => {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${stdout}${stderr}`, { cause: error });
  });
  for (const path of globSync("**/*.html", { cwd: site }))
    pages.set(path, readFileSync(join(site, path), "utf8"));
  // The build compiles every package. On a busy machine, that takes minutes.
}, 900_000);
afterAll(() => rmSync(site, { recursive: true }));

test("no link on the site is broken", () => {
  const broken: string[] = [];
  for (const [path, html] of pages) {
    for (const [, link = ""] of html.matchAll(/ (?:href|src)="([^"]*)"/gu)) {
      if (!/^[a-z]+:/iu.test(link) && !isValid(path, link)) broken.push(`${path}: ${link}`);
    }
  }
  expect(broken).toEqual([]);
});

test("no page contains JavaScript or loads anything from another host", () => {
  const foreign = [...pages].filter(([, html]) =>
    /<script\b|<(?:link|img|iframe)\b[^>]*(?:href|src)="(?:https?:)?\/\//iu.test(html),
  );
  expect(foreign.map(([path]) => path)).toEqual([]);
});

test("every Markdown page of the repository that is written for users is on the site", () => {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
  const all = execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim().split("\n");
  // All packages have the same version, so one changelog is enough.
  const internal = /^(?:\.changeset|\.github|tooling)\/|^packages\/(?!core\/).*CHANGELOG/u;
  const shown = new Set(sections().flatMap((section) => section.pages.map(({ source }) => source)));
  const missing = all.filter(
    (path) => existsSync(join(root, path)) && !internal.test(path) && !shown.has(path),
  );
  expect(missing).toEqual([]);
});

test("the reference has a page for every entry of every package", () => {
  const manifests = globSync("packages/*/package.json", { cwd: root });
  const entries = manifests.flatMap((path) =>
    Object.keys((JSON.parse(readFileSync(join(root, path), "utf8")) as { exports: object }).exports),
  );
  expect([...pages.keys()].filter((path) => path.startsWith("api/"))).toHaveLength(entries.length);
});

function isValid(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? from : join(dirname(from), decodeURIComponent(path));
  if (anchor === undefined) return existsSync(join(site, target)) && statSync(join(site, target)).isFile();
  const html = pages.get(target);
  return html !== undefined && (anchor === "" || html.includes(`id="${decodeURIComponent(anchor)}"`));
}
