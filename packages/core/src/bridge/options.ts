/**
 * Checks what an application gave a bridge.
 *
 * @param known the names of the bridge's options
 * @throws TypeError for an unknown option, and for an `isUse` that is not a function
 */
export function assertOptions(options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options must be an object. Known options: ${known.join(", ")}`);
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`Unknown option ${unknown}. Known options: ${known.join(", ")}`);
  }
  const { isUse } = options as { readonly isUse?: unknown };
  if (isUse !== undefined && typeof isUse !== "function") {
    throw new TypeError("isUse must be a function that returns false for a request that is not a use");
  }
}
