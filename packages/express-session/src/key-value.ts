import { type Bridge, isExpired, isOwnToken } from "@tenure/core/bridge";
import type { SessionData } from "express-session";
import { maxAgeOf } from "./stored-cookie.ts";
import { storedData } from "./stored-data.ts";

/**
 * Stores a plain object under a key, for an application or a library that uses the store without the middleware: creates the session, or
 * replaces the data of one that is alive.
 *
 * Under a token of ours nothing is created: only `generate` gives those out, so the session has ended.
 *
 * @throws Error if the key has been destroyed: what has ended is never stored again
 */
export async function setKey<Data extends object>(
  bridge: Bridge<Data>,
  key: string,
  data: Partial<SessionData>,
): Promise<void> {
  const { sessions } = bridge;
  const maxAge = maxAgeOf(data.cookie);
  if (isExpired(maxAge)) return bridge.end(key);
  const stored = storedData(data) as Data;
  if (await replaced()) return;
  if (isOwnToken(key)) return;
  const idle =
    maxAge === null ? {} : { idle: Math.max(1, Math.round(Math.min(maxAge, sessions.policy.idleTimeout))) };
  if (await sessions.createWithToken(key, stored, idle)) return;
  // Another call has created it meanwhile, or it has ended.
  if (await replaced()) return;
  throw new Error(
    "set: the session under this key has ended, and what has ended is never stored again. Use another key, or keep such entries in a store of their own",
  );

  async function replaced(): Promise<boolean> {
    const loaded = await bridge.load(key);
    return loaded.session !== null && (await bridge.request(loaded).save(stored, maxAge)) === "saved";
  }
}
