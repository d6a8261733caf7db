import type { Context } from "./context.ts";
import { publish } from "./events.ts";
import { inBatches } from "./in-batches.ts";
import { refusal } from "./refusal.ts";
import type { SessionRecord } from "./store.ts";

/** Options of `reencrypt`. */
export interface ReencryptOptions {
  /** Called after each batch with the counts so far. */
  readonly onProgress?: (done: Reencrypted) => void;
  /** Stops the run after the current batch. */
  readonly signal?: AbortSignal;
}

/** How many sessions `reencrypt` has processed, by outcome. */
export interface Reencrypted {
  readonly moved: number;
  /** Sessions that already had the first key, or ended during the run. */
  readonly skipped: number;
  /** Sessions that cannot be read. They stay unchanged. */
  readonly unreadable: number;
}

/**
 * Moves every session to the first key. If another write overtakes a move, either that write has moved the
 * session or the move is repeated.
 *
 * @throws TypeError for an option of a wrong type, before anything is written
 */
export async function reencrypt<Data extends object>(
  ctx: Context<Data>,
  { onProgress, signal }: ReencryptOptions,
): Promise<Reencrypted> {
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw refusal("onProgress must be a function: ({ moved }) => console.log(moved)");
  }
  if (signal !== undefined && typeof signal?.aborted !== "boolean") {
    throw refusal("signal must be an AbortSignal, such as AbortSignal.timeout(60_000)");
  }
  const done = { moved: 0, skipped: 0, unreadable: 0 };
  const moveAll = async (batch: readonly SessionRecord[]): Promise<void> => {
    for (const result of await Promise.all(batch.map((record) => move(ctx, record)))) done[result] += 1;
    onProgress?.({ ...done });
  };
  await inBatches(ctx.store.scan(), BATCH, moveAll, signal);
  return done;
}

async function move<Data extends object>(
  { store, envelopes }: Context<Data>,
  seen: SessionRecord,
): Promise<keyof Reencrypted> {
  let record: SessionRecord | null = seen;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    if (!record) return "skipped";
    const sealed = envelopes.read(record);
    if (sealed && !envelopes.isOutdated(sealed)) return "skipped";
    const stored = sealed && envelopes.open(sealed);
    if (!stored) {
      publish("unreadable", { id: record.id, userId: record.userId, keyId: sealed?.keyId ?? null });
      return "unreadable";
    }
    const data = envelopes.seal(record, stored.head, stored.payload);
    const result = await store.update(record.id, { data, touch: false, ifVersion: record.version });
    if (result !== "conflict") return result === "updated" ? "moved" : "skipped";
    record = await store.read(record.id);
  }
  // The session is written constantly, and each of these writes uses the first key.
  return "skipped";
}

/** Sessions moved concurrently. */
const BATCH = 50;
const MAX_ATTEMPTS = 20;
