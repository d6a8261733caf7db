/**
 * Passes the outcome of a call to a callback in Node's manner, which may be absent.
 *
 * The callback runs outside of the promise: inside, what it throws would become an unhandled rejection, or call the callback a second
 * time.
 *
 * @param call runs at once. What it throws before it returns a promise is thrown to the caller
 */
export function callBack<Value>(
  call: () => Promise<Value>,
  callback: ((error: unknown, value?: Value) => void) | undefined,
): void {
  call().then(
    (value) => callback && process.nextTick(callback, null, value),
    (error: unknown) => callback && process.nextTick(callback, error),
  );
}
