import { type SessionStore, StoreError } from "@tenure/core";
import type { StoreUnderTest } from "./store-under-test.ts";

/** The backend under test, as two processes see it. */
export interface Backend {
  readonly store: SessionStore;
  /** A second store on the same backend. */
  readonly other: SessionStore;
  /** About how long a call takes, milliseconds. Races spread their calls over this. */
  readonly latency: number;
  readonly unreachable: StoreUnderTest["unreachable"];
}

/** Opens the backend at the first call, once for all tests. */
export function openBackend(underTest: StoreUnderTest): () => Promise<Backend> {
  let opened: Promise<Backend> | undefined;
  return () => (opened ??= open(underTest));
}

async function open(underTest: StoreUnderTest): Promise<Backend> {
  const store = patient(await underTest.open());
  const other = patient(await underTest.open());
  return { store, other, latency: await measureLatency(store), unreachable: underTest.unreachable };
}

async function measureLatency(store: SessionStore): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 7; i += 1) {
    const began = performance.now();
    await store.read(`latency-${began}`);
    times.push(performance.now() - began);
  }
  // The least: what is above it is the noise of other work.
  return Math.min(...times);
}

/** Whether a backend failed: nobody knows then what happened. Also true of the class of another copy of core. */
export function isStoreError(error: unknown): error is StoreError {
  return error instanceof StoreError || (error instanceof Error && error.name === "StoreError");
}

/** Asks again where asking changes nothing, so that a sound store that fails now and then can be judged at all. */
function patient(store: SessionStore): SessionStore {
  return {
    create: (session) => store.create(session),
    read: (id) => again(() => store.read(id)),
    update: (id, changes) => store.update(id, changes),
    revoke: (id) => store.revoke(id),
    revokeUser: (userId, options) =>
      options === undefined ? store.revokeUser(userId) : store.revokeUser(userId, options),
    listUser: (userId) => again(() => store.listUser(userId)),
    scan: () => store.scan(),
    now: () => again(() => store.now()),
  };
}

async function again<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isStoreError(error) || failures === 10) throw error;
    }
  }
}
