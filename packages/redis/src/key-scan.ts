import type { StoreClient } from "./client.ts";

/** Pages of the keys that begin with a text, on every primary, without `keyPrefix`. A key may be there twice. */
export async function* keysBeginningWith(
  client: StoreClient,
  beginning: string,
): AsyncGenerator<readonly string[]> {
  const { keyPrefix } = client;
  const pattern = `${(keyPrefix + beginning).replaceAll(/[[\]*?^\\]/g, String.raw`\$&`)}*`;
  for (const send of await client.primaries()) {
    let cursor = "0";
    do {
      const reply = await send("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE);
      const [next, page] = reply as readonly [cursor: unknown, page: readonly string[]];
      yield page.map((key) => key.slice(keyPrefix.length));
      cursor = String(next);
    } while (cursor !== "0");
  }
}

/** Keys in one SCAN: about 0.2 ms of the server's time. */
const PAGE = "500";
