import type { RedisAddress } from "../address.ts";
import { connectRedis, keyCount, primariesOf } from "../backends/redis-client.ts";
import { dataOf, type Source, type SourceOptions, type SourceSession } from "./source.ts";

/**
 * Reads the sessions of connect-redis 3 to 10. The key `<prefix><session id>` holds a session as JSON, and
 * expires with it.
 *
 * @param prefix the option `prefix` of RedisStore, `"sess:"` by default
 * @param except the prefix of Tenure's own keys, which may be on the same server, and whose values are not
 *   JSON
 */
export async function connectRedisSource(
  address: RedisAddress,
  { prefix = "sess:" }: Pick<SourceOptions, "prefix">,
  except: string,
): Promise<Source> {
  const client = await connectRedis(address);
  const isTenures = (key: string): boolean =>
    [`${except}s:`, `${except}u:`].some((start) => key.startsWith(start));

  async function sessionAt(key: string): Promise<SourceSession | null> {
    const [value, ttl] = await Promise.all([client.get(key).catch(wrongType), client.pttl(key)]);
    // Expired since the scan found it.
    if (value === null || ttl === -2) return null;
    const data = value === undefined ? null : dataOf(value);
    if (data === null && isTenures(key)) return null;
    return { token: key.slice(prefix.length), data, left: ttl < 0 ? null : ttl };
  }

  return {
    label: `${address.label}, prefix ${prefix}`,
    estimate: () => keyCount(client),
    async *sessions() {
      const pattern = `${prefix.replaceAll(/[[\]*?^\\]/g, String.raw`\$&`)}*`;
      // SCAN may return a key twice.
      const seen = new Set<string>();
      for (const node of primariesOf(client)) {
        let cursor = "0";
        do {
          const [next, found] = await node.scan(cursor, "MATCH", pattern, "COUNT", 500);
          const keys = found.filter((key) => !seen.has(key));
          for (const key of keys) seen.add(key);
          const sessions = await Promise.all(keys.map(sessionAt));
          yield* sessions.filter((session) => session !== null);
          cursor = next;
        } while (cursor !== "0");
      }
    },
    async [Symbol.asyncDispose]() {
      client.disconnect();
    },
  };
}

function wrongType(error: unknown): undefined {
  if (!(error instanceof Error && error.message.startsWith("WRONGTYPE"))) throw error;
}
