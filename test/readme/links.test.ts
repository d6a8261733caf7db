import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { readmesOf } from "./readmes.ts";

const root = join(import.meta.dirname, "../..");

describe.each(readmesOf(root))("%s", (readme) => {
  test("links only to files and headings that exist", () => {
    const links = linksOf(readFileSync(join(root, readme), "utf8"));
    expect(links.filter((link) => !isValid(readme, link))).toEqual([]);
  });
});

test('"The walk of a request" in docs/ARCHITECTURE.md names only files that exist', () => {
  const text = readFileSync(join(root, "docs/ARCHITECTURE.md"), "utf8");
  const named = [...text.matchAll(/`(core|redis|express-session)\/([\w/-]+\.ts)`/gu)];
  const paths = named.map(([, name, path]) => `packages/${name}/src/${path}`);
  expect(paths.length).toBeGreaterThan(20);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

function linksOf(markdown: string): string[] {
  const links = [...withoutCode(markdown).matchAll(/\]\(([^)\s]+)\)/gu)].map(([, link = ""]) => link);
  return links.filter((link) => !/^[a-z]+:/iu.test(link));
}

function isValid(readme: string, link: string): boolean {
  const [path = "", heading] = link.split("#");
  const target = path === "" ? join(root, readme) : join(root, dirname(readme), decodeURIComponent(path));
  if (!existsSync(target)) return false;
  return heading === undefined || headingsOf(readFileSync(target, "utf8")).includes(heading);
}

/** Returns the anchors that GitHub and npm give the headings. */
function headingsOf(markdown: string): string[] {
  const headings = [...withoutCode(markdown).matchAll(/^#{1,6} (.+)$/gmu)].map(([, text = ""]) => text);
  return headings.map((text) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function withoutCode(markdown: string): string {
  return markdown.replaceAll(/^```[\s\S]*?^```/gmu, "");
}
