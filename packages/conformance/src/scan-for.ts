import type { SessionRecord, SessionStore } from "@tenure/core";
import { repeated } from "./backend.ts";

/** Returns the records of these ids from a scan. Other sessions share the backend. */
export async function scanFor(store: SessionStore, ids: readonly string[]): Promise<SessionRecord[]> {
  const wanted = new Set(ids);
  return repeated(async () => {
    const found: SessionRecord[] = [];
    for await (const record of store.scan()) if (wanted.has(record.id)) found.push(record);
    return found;
  });
}
