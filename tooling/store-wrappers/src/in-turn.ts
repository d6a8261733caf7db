/**
 * Returns a store that makes the calls of each method on the given stores in turn, as the processes of an
 * application do that have different versions of a client. One run of the conformance suite then tests all of
 * them, and each with what the others wrote. It accepts any object, so that this package does not depend on
 * core.
 */
export function inTurn<Store extends object>(stores: readonly Store[]): Store {
  const calls = new Map<PropertyKey, number>();
  return new Proxy(stores[0]!, {
    get(_, name) {
      const count = calls.get(name) ?? 0;
      calls.set(name, count + 1);
      const store = stores[count % stores.length]!;
      const member: unknown = Reflect.get(store, name, store);
      return typeof member === "function" ? (member.bind(store) as unknown) : member;
    },
  });
}
