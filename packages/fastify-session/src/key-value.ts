import { type Bridge, isExpired, isOwnToken } from "@tenure/core/bridge";
import { settingsOf } from "./cookie.ts";
import type { StoredData } from "./data.ts";
import type { FrameworkCookie } from "./framework.ts";

/**
 * Stores a plain object under a key, for an application that uses the store without the plugin: creates the session, or replaces the data of one
 * that is alive. Under a token of ours nothing is created: only requests are given those, so the session has ended.
 *
 * @throws Error if the key has been destroyed
 */
export async function setKey<Data extends object>(
  bridge: Bridge<Data>,
  key: string,
  object: object,
): Promise<void> {
  const { sessions } = bridge;
  const { cookie } = object as { readonly cookie?: FrameworkCookie };
  const maxAge = cookie?.originalMaxAge ?? cookie?.maxAge;
  if (isExpired(maxAge)) return bridge.end(key);
  const settings = cookie && { cookie: { ...settingsOf(cookie), originalMaxAge: maxAge } };
  const data = { ...(object as StoredData), ...settings } as Data;
  if (await isReplaced()) return;
  if (isOwnToken(key)) return;
  const idle =
    typeof maxAge === "number" && maxAge < sessions.policy.idleTimeout ? { idle: Math.ceil(maxAge) } : {};
  if (await sessions.createWithToken(key, data, idle)) return;
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
