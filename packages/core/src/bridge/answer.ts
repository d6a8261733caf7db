/**
 * Hands the outcome of a call to a callback in Node's manner, which may be absent.
 *
 * Outside of the promise: what a callback throws is the application's own error. Inside, it would become an unhandled rejection,
 * or call the callback a second time.
 *
 * @param call called at once. What it throws before its promise is there is its caller's
 */
export function answer<Value>(
  call: () => Promise<Value>,
  callback: ((error: unknown, value?: Value) => void) | undefined,
): void {
  call().then(
    (value) => callback && process.nextTick(callback, null, value),
    (error: unknown) => callback && process.nextTick(callback, error),
  );
}
