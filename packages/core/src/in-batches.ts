/**
 * Works on the items of a scan, some together. If the scan rejects, as a store's does at its end for a record
 * that cannot be decoded, works on the last items before it rejects with the scan's error.
 *
 * @param size how many items `work` gets at most
 * @param signal stops the scan
 */
export async function inBatches<Item>(
  scan: AsyncIterable<Item>,
  size: number,
  work: (batch: readonly Item[]) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const batch: Item[] = [];
  try {
    for await (const item of scan) {
      if (signal?.aborted) break;
      batch.push(item);
      if (batch.length === size) await work(batch.splice(0));
    }
  } catch (error) {
    if (batch.length > 0) await work(batch).catch(() => undefined);
    throw error;
  }
  if (batch.length > 0) await work(batch);
}
