/** Named places at which a request waits until the test opens them. */
export interface Gates {
  /** Called by a request that has reached the gate. Resolves when the gate opens. */
  readonly pass: (name: string) => Promise<void>;
  /** Called by the test. Resolves when a request has reached the gate. */
  readonly reached: (name: string) => Promise<void>;
  readonly open: (name: string) => void;
}

export function createGates(): Gates {
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

function at(gates: Map<string, PromiseWithResolvers<void>>, name: string): PromiseWithResolvers<void> {
  const gate = gates.get(name) ?? Promise.withResolvers<void>();
  gates.set(name, gate);
  return gate;
}
