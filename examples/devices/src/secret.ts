import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cacheFolder } from "./cache-folder.ts";

/**
 * What cookies are signed with. Random, and kept in a file, so that a browser is still signed in after a restart if the
 * store lasts. A real application takes it from its environment.
 */
export function cookieSecret(): string {
  const folder = cacheFolder();
  const file = new URL("secret", folder);
  const own = new URL(`secret-${process.pid}`, folder);
  mkdirSync(folder, { recursive: true });
  writeFileSync(own, randomBytes(32).toString("base64url"), { mode: 0o600 });
  try {
    // Whole or not at all: another demo may be starting too.
    linkSync(own, file);
  } catch {
    // It is there from an earlier start.
  }
  rmSync(own);
  return readFileSync(file, "utf8");
}
