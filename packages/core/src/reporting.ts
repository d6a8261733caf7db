import { StoreError, type StoreOperation } from "./errors.ts";
import { publish } from "./events.ts";
import type { About } from "./refusal.ts";
import type { SessionStore } from "./store.ts";

/** Wraps a store: every failure becomes a `StoreError`, and failures and refusals are published. */
export function reportFailures(store: SessionStore): SessionStore {
  return {
    create: (session) => report("create", session, () => store.create(session)),
    // By far the most frequent call, so it allocates no closure.
    async read(id) {
      try {
        return await store.read(id);
      } catch (error) {
        throw reported("read", { id }, error);
      }
    },
    update: (id, changes) => report("update", { id }, () => store.update(id, changes)),
    revoke: (id) => report("revoke", { id }, () => store.revoke(id)),
    revokeUser: (userId, options) =>
      report("revokeUser", { userId }, () => store.revokeUser(userId, options)),
    listUser: (userId) => report("listUser", { userId }, () => store.listUser(userId)),
    now: () => report("now", {}, () => store.now()),
    async *scan() {
      try {
        yield* store.scan();
      } catch (error) {
        throw reported("scan", {}, error);
      }
    },
  };
}

async function report<Result>(
  operation: StoreOperation,
  about: Partial<About>,
  call: () => Promise<Result>,
): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw reported(operation, about, error);
  }
}

function reported(
  operation: StoreOperation,
  { id = null, userId = null }: Partial<About>,
  cause: unknown,
): Error {
  if (isRefusal(operation, cause)) {
    publish("refused", { id, userId, why: cause.message });
    return cause;
  }
  const error = storeErrorFor(operation, cause);
  publish("store-failure", { id, userId, error });
  return error;
}

function storeErrorFor(operation: StoreOperation, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  if (!isOfAnotherCopy(cause)) return new StoreError(operation, "the store failed", { cause });
  const message = cause.message.replace(`${cause.operation}: `, "");
  return new StoreError(cause.operation, message, { cause: cause.cause });
}

/** Whether a store brings another copy of this package, whose `StoreError` is another class. */
function isOfAnotherCopy(error: unknown): error is StoreError {
  return error instanceof Error && error.name === "StoreError" && "operation" in error;
}

/**
 * Whether a store refused data or a user id that it cannot hold. Operations that take only a session id
 * refuse nothing: any store can hold an id. A client's own TypeErrors, such as fetch's "fetch failed", have a
 * cause.
 */
function isRefusal(operation: StoreOperation, error: unknown): error is TypeError {
  return error instanceof TypeError && error.cause === undefined && REFUSABLE.has(operation);
}

const REFUSABLE: ReadonlySet<StoreOperation> = new Set(["create", "update", "revokeUser", "listUser"]);
