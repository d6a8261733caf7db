import { clearTimeout, monotonic, setImmediate, setTimeout } from "./real-time.ts";

/**
 * Settles as `promise` does, or rejects with `late()` after `ms` milliseconds. The operation may still happen
 * after that.
 *
 * After a pause of the whole process, timers fire before the replies that arrived during the pause are read,
 * so replies get one more turn of the event loop.
 *
 * Never rejects early, because a command whose caller has an error must be past its deadline at the server,
 * too. Node's timers may fire a fraction of a millisecond early.
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
