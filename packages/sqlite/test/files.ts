import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** Paths of files that do not exist yet, in a folder that is removed after the tests of the file that asks. */
export function newFiles(): () => string {
  const folder = mkdtempSync(join(tmpdir(), "tenure-sqlite-"));
  let count = 0;
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return () => join(folder, `${(count += 1)}.db`);
}
