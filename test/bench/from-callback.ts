/** Turns a call that takes a callback into a promise. */
export function fromCallback<T = void>(
  call: (done: (error?: unknown, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}
