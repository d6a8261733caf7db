/** A store whose calls a test can observe, delay and fail. */
export interface Watched<Store> {
  readonly store: Store;
  /**
   * The calls so far, by the method's name. An `update` without data and without a user is listed as `touch`.
   */
  readonly calls: string[];
  /** Returns the calls since the last `look`, without `now`, whose calls do not depend on the test. */
  readonly look: () => string[];
}

/**
 * Wraps a store and records the calls of its methods. It accepts any object, so that this package does not
 * depend on core.
 *
 * @param meet called with the name of each call before the call is passed on. If it throws or rejects, so
 *   does the call; the call waits for it
 */
export function watched<Store extends object>(
  store: Store,
  meet: (call: string) => unknown = () => undefined,
): Watched<Store> {
  const calls: string[] = [];
  let unseen: string[] = [];
  const record = (name: string, args: readonly unknown[]): string => {
    const call = name === "update" && isTouch(args[1]) ? "touch" : name;
    calls.push(call);
    unseen.push(call);
    return call;
  };
  return {
    calls,
    look: () => {
      const since = unseen;
      unseen = [];
      return since.filter((call) => call !== "now");
    },
    store: new Proxy(store, {
      get(target, name) {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        if (name === "scan") {
          return async function* (...args: unknown[]): AsyncGenerator {
            await meet(record(name, args));
            yield* method.apply(target, args) as AsyncIterable<unknown>;
          };
        }
        return async (...args: unknown[]): Promise<unknown> => {
          await meet(record(String(name), args));
          return method.apply(target, args) as unknown;
        };
      },
    }),
  };
}

function isTouch(changes: unknown): boolean {
  const { data, userId } = changes as { readonly data?: unknown; readonly userId?: unknown };
  return data === undefined && userId === undefined;
}
