import { Fault, StoreError } from "../errors.ts";
import type { SessionRecord } from "../store.ts";

/** One page of a scan. */
export interface ScanPage<Place> {
  /** The live sessions. An `Error` stands for a stored value that is not a session. */
  readonly records: readonly (SessionRecord | Error)[];
  /** Where the next page begins; `undefined` after the last page. */
  readonly next: Place | undefined;
}

/**
 * Yields the sessions of all pages. The first `Error` on a page is thrown only at the end, a `Fault` as a
 * `StoreError`: "log everybody out" must reach the sessions after it.
 *
 * @param first where the first page begins
 */
export async function* scanPages<Place>(
  first: Place,
  pageAt: (place: Place) => Promise<ScanPage<Place>>,
): AsyncGenerator<SessionRecord, void, undefined> {
  let failure: Error | undefined;
  for (let place: Place | undefined = first; place !== undefined;) {
    const page: ScanPage<Place> = await pageAt(place);
    for (const record of page.records) {
      if (record instanceof Error) failure ??= record;
      else yield record;
    }
    place = page.next;
  }
  if (failure instanceof Fault) throw new StoreError("scan", failure.message);
  if (failure !== undefined) throw failure;
}

/**
 * Returns what `decode` returns, or the error that it throws, so that one invalid value does not reject the
 * others of a page or a batch.
 */
export function orError<Result>(decode: () => Result): Result | Error {
  try {
    return decode();
  } catch (error) {
    return error as Error;
  }
}
