/** Everyone who waits for an answer. One timer serves them all: a timer for each command would cost more than its decoding. */
export interface Waiting {
  /** Calls `expire` when the time is over, unless `leave` came first. */
  enter(expire: () => void): Waiter;
  leave(waiter: Waiter): void;
}

export interface Waiter {
  readonly until: number;
  readonly expire: () => void;
}

/** @param timeout how long each may wait, milliseconds */
export function waitingRoom(timeout: number): Waiting {
  // In the order of their coming, which is that of their deadlines, as all wait equally long.
  const waiters = new Set<Waiter>();
  let timer: NodeJS.Timeout | undefined;

  function expireDue(): void {
    timer = undefined;
    const now = performance.now();
    for (const waiter of waiters) {
      if (waiter.until > now) return arm(waiter.until - now);
      waiters.delete(waiter);
      waiter.expire();
    }
  }

  /**
   * After a pause of the whole process, timers come before the answers that arrived meanwhile, so these are let in first.
   * The timer may outlast the waiters it was for, and keeps no process alive: their sockets do.
   */
  function arm(delay: number): void {
    timer = setTimeout(() => setImmediate(expireDue), Math.ceil(delay)).unref();
  }

  return {
    enter(expire) {
      const waiter = { until: performance.now() + timeout, expire };
      waiters.add(waiter);
      if (timer === undefined) arm(timeout);
      return waiter;
    },
    leave(waiter) {
      waiters.delete(waiter);
    },
  };
}
