import { connect } from "node:net";
import { type SessionStore, StoreError, type StoreOperation } from "@tenure/core";
import type { Address } from "../src/index.ts";

/** Settles a call whose backend does not reply. */
export type Failure = (operation: StoreOperation, cause: unknown) => unknown;

/** What a correct store does. */
export const rejectWithStoreError: Failure = (operation, cause) => {
  throw new StoreError(operation, "the backend does not reply", { cause });
};

/** Results that an application would take for absence. */
export const ABSENT_RESULTS: Partial<Record<StoreOperation, unknown>> = {
  create: "taken",
  read: null,
  update: "gone",
  revoke: false,
  revokeUser: 0,
  listUser: [],
  now: 0,
};

/** A store that tries to reach its backend for 200 ms, and settles each call by `failure`. */
export function storeAt(address: Address, failure: Failure): SessionStore {
  const call = async <Result>(operation: StoreOperation): Promise<Result> => {
    const cause = await dial(address);
    return (await failure(operation, cause)) as Result;
  };
  return {
    create: () => call("create"),
    read: () => call("read"),
    update: () => call("update"),
    revoke: () => call("revoke"),
    revokeUser: () => call("revokeUser"),
    listUser: () => call("listUser"),
    async *scan() {
      await call("scan");
      yield* [];
    },
    now: () => call("now"),
  };
}

/** Resolves to the connection's error, or to a timeout. Rejects if the backend replies. */
async function dial(address: Address): Promise<unknown> {
  const socket = connect(address);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  socket.setTimeout(200, () => {
    resolve(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }));
  });
  socket.on("error", resolve).on("data", () => {
    reject(new Error("the backend replied"));
  });
  socket.write("hello\r\n");
  return promise.finally(() => socket.destroy());
}
