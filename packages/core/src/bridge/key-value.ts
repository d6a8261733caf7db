import { isOwnToken } from "../token.ts";
import type { Bridge } from "./bridge.ts";
import { idleFor, isExpired, type MaxAge } from "./max-age.ts";

/**
 * Stores a plain object under a key, for an application or a library that uses the store without the framework's middleware: creates the
 * session, or replaces the data of one that is alive.
 *
 * Under a token of ours nothing is created: only requests are given those, so the session has ended.
 *
 * @param maxAge the cookie's; 0 or less ends the session
 * @throws Error if the key has been destroyed: what has ended is never stored again
 */
export async function setKey<Data extends object>(
  bridge: Bridge<Data>,
  key: string,
  data: Data,
  maxAge: MaxAge,
): Promise<void> {
  if (isExpired(maxAge)) return bridge.end(key);
  if (await isReplaced()) return;
  if (isOwnToken(key)) return;
  const { sessions } = bridge;
  const { idleTimeout } = sessions.policy;
  const idle = idleFor(idleTimeout, maxAge);
  if (await sessions.createWithToken(key, data, idle < idleTimeout ? { idle } : {})) return;
  // Another call has created it meanwhile, or it has ended.
  if (await isReplaced()) return;
  throw new Error(
    "set: the session under this key has ended, and what has ended is never stored again. Use another key, or keep such entries in a store of their own",
  );

  async function isReplaced(): Promise<boolean> {
    const loaded = await bridge.load(key);
    return loaded.session !== null && (await bridge.request(loaded).save(data, maxAge)) === "saved";
  }
}
