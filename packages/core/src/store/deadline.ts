import { clearTimeout, monotonic, setImmediate, setTimeout } from "./real-time.ts";

/**
 * Rejects with `late()` if `promise` has not settled within `ms` milliseconds. What it waited for may still happen.
 *
 * After a pause of the whole process, timers fire before the replies that arrived meanwhile are read, so the replies get one
 * turn of the event loop first.
 *
 * It never rejects early, because a command whose caller got an error must be past its deadline at the server. Node's timers count
 * whole milliseconds, and may fire a part of one early.
 */
export function withDeadline<Result>(
  promise: Promise<Result>,
  ms: number,
  late: () => Error,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const end = monotonic() + ms;
    const expire = (): void => {
      const left = end - monotonic();
      if (left > 0) timer = setTimeout(expire, Math.ceil(left));
      else setImmediate(() => reject(late()));
    };
    let timer = setTimeout(expire, ms);
    promise.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
