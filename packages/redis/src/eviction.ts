import { warnOnce } from "@tenure/core/store";
import type { Send, StoreClient } from "./client.ts";

/**
 * Warns if a server may evict sessions, tombstones and fences when its memory is full: users are logged out
 * at random, "log out everywhere" misses sessions whose index was evicted, and a revoked id can be created
 * again.
 *
 * A server that reports its policy neither by INFO nor by CONFIG causes no warning.
 */
export async function warnOfEviction(client: StoreClient): Promise<void> {
  const policies = await evictionPolicies(client).catch(() => []);
  const evicting = policies.find((policy) => policy !== "noeviction");
  if (evicting === undefined) return;
  warnOnce(
    "TENURE_REDIS_EVICTION",
    `Redis has maxmemory-policy ${evicting} and may evict sessions and tombstones: set it to noeviction, or give sessions their own server`,
  );
}

/** Returns the `maxmemory-policy` of each primary that reports it. */
export async function evictionPolicies(client: StoreClient): Promise<readonly string[]> {
  const policies = await Promise.all((await client.primaries()).map(evictionPolicy));
  return policies.filter((policy) => policy !== undefined);
}

/** Managed servers and restricted users may allow only INFO, only CONFIG, or neither. */
async function evictionPolicy(send: Send): Promise<string | undefined> {
  const info = String(await send("INFO", "memory").catch(() => ""));
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
  if (policy !== undefined) return policy;
  const reply = await send("CONFIG", "GET", "maxmemory-policy").catch(() => []);
  // RESP 3 replies with a map, which clients turn into an object.
  const entry = Array.isArray(reply) ? reply : Object.entries(reply as object).flat();
  return typeof entry[1] === "string" ? entry[1] : undefined;
}
