import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/**
 * Returns a function that returns paths of new files, in a folder that is removed after the calling file's
 * tests.
 */
export function newFiles(): () => string {
  const folder = mkdtempSync(join(tmpdir(), "tenure-sqlite-"));
  let count = 0;
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return () => join(folder, `${(count += 1)}.db`);
}
