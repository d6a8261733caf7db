import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ProtectKey } from "@tenure/core";
import { cacheFolder } from "./cache-folder.ts";

/** What cookies are signed with. */
export function cookieSecret(): string {
  return keptSecret("secret");
}

/** What session data are encrypted with. */
export function protectKey(): ProtectKey {
  return { id: "demo", key: keptSecret("key") };
}

/**
 * 32 random bytes in base64url. They are kept in a file, so that a browser is still signed in after a restart if the store
 * lasts. A real application takes them from its environment.
 */
function keptSecret(name: string): string {
  const folder = cacheFolder();
  const file = new URL(name, folder);
  const own = new URL(`${name}-${process.pid}`, folder);
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
