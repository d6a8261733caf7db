import { type SessionRecord, type SessionStore, StoreError } from "@tenure/core";
import { withDeadline } from "@tenure/core/store";
import type { StoreUnderTest } from "./store-under-test.ts";

/** The backend under test, as two processes see it. */
export interface Backend {
  readonly store: SessionStore;
  /** A second store on the same backend. */
  readonly other: SessionStore;
  /** About how long a call takes, milliseconds. Races spread their calls over this time. */
  readonly latency: number;
  readonly unreachable: StoreUnderTest["unreachable"];
  readonly mixedUp: StoreUnderTest["mixedUp"];
}

/** Opens the backend at the first call, once for all tests. */
export function openBackend(underTest: StoreUnderTest, patience: number = PATIENCE): () => Promise<Backend> {
  let opened: Promise<Backend> | undefined;
  return () => (opened ??= open(underTest, patience));
}

async function open(
  { open: openStore, unreachable, mixedUp }: StoreUnderTest,
  patience: number,
): Promise<Backend> {
  const store = patient(await settled("open", openStore(), patience), patience);
  const other = patient(await settled("open", openStore(), patience), patience);
  return { store, other, latency: await measureLatency(store), unreachable, mixedUp };
}

async function measureLatency(store: SessionStore): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 7; i += 1) {
    const began = performance.now();
    await store.read(`latency-${began}`);
    times.push(performance.now() - began);
  }
  // The minimum leaves out the noise of other work.
  return Math.min(...times);
}

/** Whether the backend failed, so that the outcome is unknown. Works across copies of core. */
export function isStoreError(error: unknown): error is StoreError {
  return error instanceof StoreError || (error instanceof Error && error.name === "StoreError");
}

/** For a call that may reject, as any call to a backend may. */
export function ignoreStoreError(error: unknown): undefined {
  if (!isStoreError(error)) throw error;
}

/**
 * Repeats failed calls that change nothing, so that occasional failures do not fail a sound store. Rejects if
 * a call does not settle.
 */
function patient(store: SessionStore, patience: number): SessionStore {
  return {
    create: (session) => settled("create", store.create(session), patience),
    read: (id) => repeated(() => settled("read", store.read(id), patience)),
    update: (id, changes) => settled("update", store.update(id, changes), patience),
    revoke: (id) => settled("revoke", store.revoke(id), patience),
    revokeUser: (userId, options) =>
      settled(
        "revokeUser",
        options === undefined ? store.revokeUser(userId) : store.revokeUser(userId, options),
        patience,
      ),
    listUser: (userId) => repeated(() => settled("listUser", store.listUser(userId), patience)),
    scan: () => patientScan(store.scan(), patience),
    now: () => repeated(() => settled("now", store.now(), patience)),
  };
}

/** Not a generator: one that is abandoned while it waits for a record waits on. */
function patientScan(scan: AsyncIterable<SessionRecord>, patience: number): AsyncIterable<SessionRecord> {
  return {
    [Symbol.asyncIterator]() {
      const records = scan[Symbol.asyncIterator]();
      return {
        next: () => settled("scan", records.next(), patience),
        async return() {
          await settled("scan", records.return?.(), patience);
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** Settles as a call does, or rejects after `patience` milliseconds with an error that names the call. */
export function settled<Result>(
  operation: string,
  call: Result | Promise<Result>,
  patience: number,
): Promise<Result> {
  const late = (): Error =>
    new Error(`${operation} had not settled after ${patience} ms: every call must settle in bounded time`);
  return withDeadline(Promise.resolve(call), patience, late);
}

/** Milliseconds: much longer than any call that settles, even on a slow machine. */
const PATIENCE = 120_000;

/** Repeats a call that changes nothing while it rejects with a StoreError, ten times at most. */
export async function repeated<Result>(call: () => Promise<Result>): Promise<Result> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isStoreError(error) || failures === 10) throw error;
    }
  }
}
