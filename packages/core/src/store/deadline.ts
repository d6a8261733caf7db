/**
 * Rejects with `late()` if `promise` has not settled within `ms` milliseconds. What it waited for may still happen.
 *
 * After a pause of the whole process, timers fire before the replies that arrived meanwhile are read, so the replies get one
 * turn of the event loop first.
 */
export function withDeadline<Result>(
  promise: Promise<Result>,
  ms: number,
  late: () => Error,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => reject(late())), ms);
    promise.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
