import { primaries, type RedisClient, type RedisNode } from "./client.ts";

/**
 * Warns where the server may throw sessions and tombstones away when its memory is full: people are logged out at random,
 * "log out everywhere" misses sessions whose index is gone, and a revoked id could be created again.
 *
 * Where neither INFO nor CONFIG is allowed, nothing is said.
 */
export async function warnOfEviction(client: RedisClient): Promise<void> {
  const policies = await Promise.all(primaries(client).map(evictionPolicy));
  const evicting = policies.find((policy) => policy !== undefined && policy !== "noeviction");
  if (evicting === undefined) return;
  process.emitWarning(
    `Redis has maxmemory-policy ${evicting} and may evict sessions and tombstones: set it to noeviction, or give sessions a server of their own`,
    { type: "TenureWarning", code: "TENURE_REDIS_EVICTION" },
  );
}

async function evictionPolicy(node: RedisNode): Promise<string | undefined> {
  try {
    const told = /^maxmemory_policy:(\S+)/m.exec(await node.info("memory"))?.[1];
    if (told !== undefined) return told;
  } catch {
    // Managed servers and restricted users may still have CONFIG.
  }
  try {
    const answer = await node.config("GET", "maxmemory-policy");
    return Array.isArray(answer) ? String(answer[1]) : undefined;
  } catch {
    return undefined;
  }
}
