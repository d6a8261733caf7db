import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Returns the paths of all Markdown documents of the repository, relative to its root. */
export function readmesOf(root: string): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
  const paths = execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim().split("\n");
  // git still lists a removed document until the removal is committed.
  return paths.filter((path) => existsSync(join(root, path)));
}
