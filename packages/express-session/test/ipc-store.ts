import type { ChildProcess } from "node:child_process";
import type { SessionRecord, SessionStore } from "@tenure/core";

/** Lets a child process use this process's store. */
export function lend(store: SessionStore, child: ChildProcess): void {
  child.on("message", async ({ call, method, args }: Question) => {
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

/** In the child: the parent's store. */
export function borrowed(): SessionStore {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let calls = 0;
  process.on("message", ({ call, value, error }: Reply) => {
    const asked = waiting.get(call);
    waiting.delete(call);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new Error(error));
  });
  const ask = async <Value>(method: Method, ...args: readonly unknown[]): Promise<Value> => {
    const asked = Promise.withResolvers<unknown>();
    calls += 1;
    waiting.set(calls, asked);
    process.send?.({ call: calls, method, args });
    return (await asked.promise) as Value;
  };
  return {
    create: (session) => ask("create", session),
    read: (id) => ask("read", id),
    update: (id, changes) => ask("update", id, changes),
    revoke: (id) => ask("revoke", id),
    revokeUser: (userId, options) => ask("revokeUser", userId, options),
    listUser: (userId) => ask("listUser", userId),
    async *scan() {
      yield* await ask<SessionRecord[]>("scan");
    },
    now: () => ask("now"),
  };
}

type Method = keyof SessionStore;

interface Question {
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
