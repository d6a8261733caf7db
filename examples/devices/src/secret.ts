import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ProtectKey } from "@tenure/core";
import { cacheFolder } from "./cache-folder.ts";

export function cookieSecret(): string {
  return keptSecret("secret");
}

export function protectKey(): ProtectKey {
  return { id: "demo", key: keptSecret("key") };
}

/**
 * Returns 32 random bytes in base64url. They are kept in a file, so that with a durable store, browsers stay
 * signed in after a restart. A real application takes them from its environment.
 */
function keptSecret(name: string): string {
  const folder = cacheFolder();
  const file = new URL(name, folder);
  const own = new URL(`${name}-${process.pid}`, folder);
  mkdirSync(folder, { recursive: true });
  writeFileSync(own, randomBytes(32).toString("base64url"), { mode: 0o600 });
  try {
    // Atomic, because another demo may be starting at the same time.
    linkSync(own, file);
  } catch {
    // It exists from an earlier start.
  }
  rmSync(own);
  return readFileSync(file, "utf8");
}
