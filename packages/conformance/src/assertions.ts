import assert from "node:assert/strict";
import type { SessionRecord } from "@tenure/core";
import type { Timed } from "./scene.ts";

/** Asserts that an instant in a record is one of the store's clock during a call. */
export function assertWithin(
  instant: number | null | undefined,
  { from, to }: Pick<Timed<unknown>, "from" | "to">,
  name: keyof SessionRecord,
): void {
  assert.ok(
    Number.isSafeInteger(instant) && from <= instant! && instant! <= to,
    `${name} is ${instant}; now() was ${from} before the call and ${to} after it`,
  );
}

export function assertOldestFirst(listed: readonly SessionRecord[]): void {
  const created = listed.map(({ createdAt }) => createdAt);
  assert.deepEqual(
    created,
    created.toSorted((a, b) => a - b),
    "oldest first",
  );
}
