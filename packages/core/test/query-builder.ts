import { expect } from "vitest";

/** Returns an object that runs a query when it is awaited, as query builders do. */
export function queryBuilder(keys: object = {}): object {
  // oxlint-disable-next-line unicorn/no-thenable -- it is what the tests are about
  return { ...keys, then: expect.unreachable };
}
