import { publish } from "../events.ts";
import { idOf, isOwnToken } from "../token.ts";
import type { Bridge } from "./bridge.ts";
import { idleFor, isExpired, type MaxAge } from "./max-age.ts";

/**
 * Stores a plain object under a key, for an application or library that uses the store without the
 * framework's middleware. Creates the session, or replaces the data of a live one. Creates nothing under one
 * of Tenure's tokens: only requests get those, so its session has ended.
 *
 * @param maxAge the cookie's; 0 or less ends the session
 * @throws Error if the session under this key has ended: an ended session is never stored again
 */
export async function setKey<Data extends object>(
  bridge: Bridge<Data>,
  key: string,
  data: Data,
  maxAge: MaxAge,
): Promise<void> {
  if (isExpired(maxAge)) return bridge.end(key);
  if (await replaced()) return;
  if (isOwnToken(key)) return publish("late-save-dropped", { id: idOf(key), userId: null });
  const { sessions } = bridge;
  const { idleTimeout } = sessions.policy;
  const idle = idleFor(idleTimeout, maxAge);
  if (await sessions.createWithToken(key, data, idle < idleTimeout ? { idle } : {})) return;
  // Another call has created it in between, or it has ended.
  if (await replaced()) return;
  throw new Error(
    "set: the session under this key has ended, and an ended session is never stored again. Use another key, or another store for such entries",
  );

  async function replaced(): Promise<boolean> {
    const loaded = await bridge.load(key);
    return loaded.session !== null && (await bridge.request(loaded).save(data, maxAge)) === "saved";
  }
}
