/** Stops a slow request until the test lets it continue. */
export interface Gate {
  /** Resolves once a request waits at the gate. */
  readonly reached: Promise<void>;
  /** Called by the request. */
  readonly wait: () => Promise<void>;
  readonly open: () => void;
}

export function gate(): Gate {
  const arrival = Promise.withResolvers<void>();
  const departure = Promise.withResolvers<void>();
  return {
    reached: arrival.promise,
    wait: () => {
      arrival.resolve();
      return departure.promise;
    },
    open: departure.resolve,
  };
}
