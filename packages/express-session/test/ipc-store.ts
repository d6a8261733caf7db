import type { ChildProcess } from "node:child_process";
import type { SessionRecord, SessionStore } from "@tenure/core";

/** Lets a child process use a store of this process. */
export function serveStore(store: SessionStore, child: ChildProcess): void {
  child.on("message", async ({ call, method, args }: StoreCall) => {
    if (call === undefined) return;
    try {
      const value =
        method === "scan" ? await Array.fromAsync(store.scan()) : await invoke(store, method, args);
      child.send({ call, value });
    } catch (error) {
      child.send({ call, error: String(error) });
    }
  });
}

/** In the child process: returns the store of the parent process. */
export function parentStore(): SessionStore {
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  let calls = 0;
  process.on("message", ({ call, value, error }: Reply) => {
    const reply = pending.get(call);
    pending.delete(call);
    if (error === undefined) reply?.resolve(value);
    else reply?.reject(new Error(error));
  });
  const send = async <Value>(method: Method, ...args: readonly unknown[]): Promise<Value> => {
    const reply = Promise.withResolvers<unknown>();
    calls += 1;
    pending.set(calls, reply);
    process.send?.({ call: calls, method, args });
    return (await reply.promise) as Value;
  };
  return {
    create: (session) => send("create", session),
    read: (id) => send("read", id),
    update: (id, changes) => send("update", id, changes),
    revoke: (id) => send("revoke", id),
    revokeUser: (userId, options) => send("revokeUser", userId, options),
    listUser: (userId) => send("listUser", userId),
    async *scan() {
      yield* await send<SessionRecord[]>("scan");
    },
    now: () => send("now"),
  };
}

type Method = keyof SessionStore;

interface StoreCall {
  readonly call: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

interface Reply {
  readonly call: number;
  readonly value?: unknown;
  readonly error?: string;
}

function invoke(store: SessionStore, method: Method, args: readonly unknown[]): Promise<unknown> {
  return (store[method] as (...given: readonly unknown[]) => Promise<unknown>)(...args);
}
