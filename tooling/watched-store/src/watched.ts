/** A store whose calls a test sees, and can make fail or hold up. */
export interface Watched<Store> {
  readonly store: Store;
  /** The calls so far, by the method's name. An `update` that brings neither data nor a user is a `touch`. */
  readonly calls: string[];
  /** The calls since the last look. Without `now`, which is asked now and then, whatever else is. */
  readonly look: () => string[];
}

/**
 * Watches every method of a store. Of any store, so that this package depends on none.
 *
 * @param meet called before each call gets through, with its name: what it throws or rejects with is the call's own error, and
 *   what it waits for holds the call up
 */
export function watched<Store extends object>(
  store: Store,
  meet: (call: string) => unknown = () => undefined,
): Watched<Store> {
  const calls: string[] = [];
  let unseen: string[] = [];
  const note = (name: string, args: readonly unknown[]): string => {
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
            await meet(note(name, args));
            yield* method.apply(target, args) as AsyncIterable<unknown>;
          };
        }
        return async (...args: unknown[]): Promise<unknown> => {
          await meet(note(String(name), args));
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
