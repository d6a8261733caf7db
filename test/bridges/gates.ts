/** Places where a request stops until the test lets it continue. */
export interface Gates {
  /** Called by a request that has reached the gate. Resolves when the gate opens. */
  readonly pass: (name: string) => Promise<void>;
  /** Called by the test. Resolves when a request has reached the gate. */
  readonly reached: (name: string) => Promise<void>;
  readonly open: (name: string) => void;
}

export function gates(): Gates {
  const reached = new Map<string, PromiseWithResolvers<void>>();
  const opened = new Map<string, PromiseWithResolvers<void>>();
  return {
    pass(name) {
      at(reached, name).resolve();
      return at(opened, name).promise;
    },
    reached: (name) => at(reached, name).promise,
    open: (name) => at(opened, name).resolve(),
  };
}

function at(places: Map<string, PromiseWithResolvers<void>>, name: string): PromiseWithResolvers<void> {
  const place = places.get(name) ?? Promise.withResolvers<void>();
  places.set(name, place);
  return place;
}
