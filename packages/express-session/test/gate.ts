/** Where a slow request waits until the test lets it go on. */
export interface Gate {
  /** Resolves once a request has come to it. */
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
