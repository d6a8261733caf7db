import { StoreError, type StoreOperation } from "./errors.ts";
import { publish } from "./events.ts";
import { type About, NOBODY } from "./refusal.ts";
import type { SessionStore } from "./store.ts";

/** The same store, with every failure a `StoreError` and published, and every refusal published. */
export function reportFailures(store: SessionStore): SessionStore {
  return {
    create: (session) => report("create", session, () => store.create(session)),
    // The most frequent call by far, and so without a closure.
    async read(id) {
      try {
        return await store.read(id);
      } catch (error) {
        throw reported("read", { id, userId: null }, error);
      }
    },
    update: (id, changes) => report("update", { id, userId: null }, () => store.update(id, changes)),
    revoke: (id) => report("revoke", { id, userId: null }, () => store.revoke(id)),
    revokeUser: (userId, options) =>
      report("revokeUser", { id: null, userId }, () => store.revokeUser(userId, options)),
    listUser: (userId) => report("listUser", { id: null, userId }, () => store.listUser(userId)),
    now: () => report("now", NOBODY, () => store.now()),
    async *scan() {
      try {
        yield* store.scan();
      } catch (error) {
        throw reported("scan", NOBODY, error);
      }
    },
  };
}

async function report<Result>(
  operation: StoreOperation,
  about: About,
  call: () => Promise<Result>,
): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw reported(operation, about, error);
  }
}

function reported(operation: StoreOperation, about: About, cause: unknown): Error {
  const { id, userId } = about;
  if (isRefusal(operation, cause)) {
    publish("refused", { id, userId, why: cause.message });
    return cause;
  }
  const error = isStoreError(cause) ? cause : new StoreError(operation, "the store failed", { cause });
  publish("store-failure", { id, userId, error });
  return error;
}

/** Also of another copy of this package, as a store may bring one. */
function isStoreError(error: unknown): error is StoreError {
  return error instanceof Error && error.name === "StoreError";
}

/**
 * What a store can't hold it refuses with a TypeError: data, or the id of a user. Session ids are digests, which any store
 * holds. A client's own TypeErrors, such as fetch's "fetch failed", carry a cause.
 */
function isRefusal(operation: StoreOperation, error: unknown): error is TypeError {
  return error instanceof TypeError && error.cause === undefined && REFUSABLE.has(operation);
}

const REFUSABLE: ReadonlySet<StoreOperation> = new Set(["create", "update", "revokeUser", "listUser"]);
