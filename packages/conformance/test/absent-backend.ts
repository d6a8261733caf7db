import { connect } from "node:net";
import { type SessionStore, StoreError, type StoreOperation } from "@tenure/core";
import type { Address } from "../src/index.ts";

/** How each call of a store comes out whose backend doesn't answer. */
type Failure = (operation: StoreOperation, cause: unknown) => unknown;

/** What a sound store does: it bounds its waiting, and says what failed and why. */
export const sound: Failure = (operation, cause) => {
  throw new StoreError(operation, "the backend doesn't answer", { cause });
};

/** Stores that are wrong about it, each in one way. */
export const wrong: Readonly<Record<string, Failure>> = {
  "an error is swallowed into an absence": (operation) => ABSENCES[operation],
  "only a failing read is taken for an absence": (operation, cause) =>
    operation === "read" ? null : sound(operation, cause),
  "the driver's error comes through": (_operation, cause) => {
    throw cause;
  },
  "a StoreError has the driver's code": (operation, cause) => {
    const error = new StoreError(operation, "the backend doesn't answer", { cause });
    throw Object.assign(error, { code: "ENOENT" });
  },
  "a StoreError names another operation": (_operation, cause) => sound("read", cause),
  "a call hangs for ever": () => new Promise(() => {}),
};

const ABSENCES: Partial<Record<StoreOperation, unknown>> = {
  create: false,
  read: null,
  update: "gone",
  revoke: false,
  revokeUser: 0,
  listUser: [],
  now: 0,
};

/** A store that knows nothing but to call its backend, for half a second. */
export function storeAt(address: Address, failure: Failure): SessionStore {
  const call = async <Answer>(operation: StoreOperation): Promise<Answer> => {
    const cause = await dial(address);
    return (await failure(operation, cause)) as Answer;
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

/** Answers the reason why it got no answer. */
async function dial(address: Address): Promise<unknown> {
  const socket = connect(address);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  socket.setTimeout(500, () => {
    resolve(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }));
  });
  socket.on("error", resolve).on("data", () => {
    reject(new Error("it did answer"));
  });
  socket.write("is anybody there?\r\n");
  return promise.finally(() => socket.destroy());
}
