/** The pages of a server's cursor, to the end. */
export async function* byCursor(
  pageAt: (cursor: string) => Promise<[next: string, page: string[]]>,
): AsyncIterable<string[]> {
  let cursor = "0";
  do {
    const [next, page] = await pageAt(cursor);
    yield page;
    cursor = next;
  } while (cursor !== "0");
}

/**
 * A walk of several pages, and then the same walk again.
 *
 * A cursor means nothing to another server, nor to the same one restarted: each hashes with a seed of its own. So a walk that
 * meets a failover passes over some keys and shows others twice, and nothing in the answers tells. A walk that meets none sees
 * all that is there throughout.
 */
export async function* twice(walk: () => AsyncIterable<string[]>): AsyncIterable<string[]> {
  let pages = 0;
  for await (const page of walk()) {
    pages += 1;
    yield page;
  }
  if (pages > 1) yield* walk();
}
