import type { SessionStore } from "@tenure/core";

export interface RecordedCalls {
  readonly store: SessionStore;
  /** Returns the names of the calls since it was last called, in order. */
  readonly takeCalls: () => string[];
  /** Returns the arguments of all calls, as JSON. */
  readonly inputs: () => string;
}

/** Wraps a store so that its calls are recorded. */
export function recordCalls(store: SessionStore): RecordedCalls {
  const calls: string[] = [];
  const inputs: unknown[] = [];
  const record = <Method extends keyof SessionStore>(name: Method): SessionStore[Method] => {
    const method = store[name] as (...args: unknown[]) => unknown;
    return ((...args: unknown[]) => {
      calls.push(name);
      inputs.push(args);
      return method(...args);
    }) as SessionStore[Method];
  };
  return {
    takeCalls: () => calls.splice(0),
    inputs: () => JSON.stringify(inputs),
    store: {
      create: record("create"),
      read: record("read"),
      update: record("update"),
      revoke: record("revoke"),
      revokeUser: record("revokeUser"),
      listUser: record("listUser"),
      scan: record("scan"),
      now: record("now"),
    },
  };
}
