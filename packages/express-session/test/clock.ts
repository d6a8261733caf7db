/** A clock that a test sets. Starts at the machine's time, because cookies have dates. */
export interface Clock {
  (): number;
  readonly advance: (ms: number) => void;
}

export function clock(): Clock {
  let now = Date.now();
  return Object.assign(() => now, {
    advance: (ms: number) => {
      now += ms;
    },
  });
}
