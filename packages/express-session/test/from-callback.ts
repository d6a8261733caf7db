/** Returns a promise for the value or error that a call passes to its callback. */
export function fromCallback<Value>(
  call: (done: (error?: unknown, value?: Value) => void) => void,
): Promise<Value | undefined> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));
}
