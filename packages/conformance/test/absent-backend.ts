import { connect } from "node:net";
import { type SessionStore, StoreError, type StoreOperation } from "@tenure/core";
import type { Address } from "../src/index.ts";

/** How a call ends if the backend does not answer. */
export type Failure = (operation: StoreOperation, cause: unknown) => unknown;

/** What a sound store does: it bounds the wait, and names the operation and the cause. */
export const failsSoundly: Failure = (operation, cause) => {
  throw new StoreError(operation, "the backend does not answer", { cause });
};

/** What an application would take for an answer. */
export const ABSENCES: Partial<Record<StoreOperation, unknown>> = {
  create: "taken",
  read: null,
  update: "gone",
  revoke: false,
  revokeUser: 0,
  listUser: [],
  now: 0,
};

/** A store that only tries to reach its backend, for half a second. */
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

/** Resolves to the reason why there is no answer. */
async function dial(address: Address): Promise<unknown> {
  const socket = connect(address);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  socket.setTimeout(500, () => {
    resolve(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }));
  });
  socket.on("error", resolve).on("data", () => {
    reject(new Error("something answered"));
  });
  socket.write("is anybody there?\r\n");
  return promise.finally(() => socket.destroy());
}
