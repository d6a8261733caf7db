import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Every document of the repository, from its root. */
export function readmesOf(root: string): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
  const paths = execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim().split("\n");
  // One that was removed and not committed is still listed.
  return paths.filter((path) => existsSync(join(root, path)));
}
