import { type Head, headOf, payloadOf } from "./envelope.ts";
import type { SessionRecord } from "./store.ts";

/** A record that `Sessions` wrote, its envelope open and its payload still encoded. */
export interface StoredSession {
  readonly record: SessionRecord;
  readonly head: Head;
  /** The session's data as the codec encoded them. */
  readonly payload: string;
}

/** Opens the envelope of a record. `null`: it is not one that this version can read. */
export function openRecord(record: SessionRecord): StoredSession | null {
  const head = headOf(record.data);
  return head && { record, head, payload: payloadOf(record.data) };
}
