/** A clock that a test advances. */
export interface Clock {
  (): number;
  readonly advance: (ms: number) => void;
}

/** Starts at the machine's time, because cookies contain dates. */
export function newClock(): Clock {
  let now = Date.now();
  return Object.assign(() => now, {
    advance: (ms: number) => {
      now += ms;
    },
  });
}
