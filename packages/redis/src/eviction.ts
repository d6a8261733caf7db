import { warnOnce } from "@tenure/core/store";
import type { StoreClient } from "./client.ts";

/**
 * Warns if a server may evict sessions, tombstones and fences when its memory is full: people are logged out at random, "log out
 * everywhere" misses sessions whose index is gone, and a revoked id could be created again.
 *
 * A server that tells its policy neither by INFO nor by CONFIG causes no warning.
 */
export async function warnOfEviction(client: StoreClient): Promise<void> {
  const policies = await client.evictionPolicies().catch(() => []);
  const evicting = policies.find((policy) => policy !== "noeviction");
  if (evicting === undefined) return;
  warnOnce(
    "TENURE_REDIS_EVICTION",
    `Redis has maxmemory-policy ${evicting} and may evict sessions and tombstones: set it to noeviction, or give sessions a server of their own`,
  );
}
