/** What a call passes to its callback. */
export function called<Value>(
  call: (done: (error?: unknown, value?: Value) => void) => void,
): Promise<Value | undefined> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));
}
