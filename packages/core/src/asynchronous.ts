import { types } from "node:util";

/**
 * Whether a value is a promise, or another object that is awaited, such as a query builder. Recognises those
 * of other realms, such as a test runner's. Does not await it.
 */
export function isAsynchronous(value: unknown): boolean {
  // An unhandled rejection would end the process.
  if (types.isPromise(value)) value.catch(() => undefined);
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
