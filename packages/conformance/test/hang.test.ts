import { memoryStore, type SessionStore } from "@tenure/core";
import { expect, test } from "vitest";
import { openBackend } from "../src/backend.ts";
import { perform } from "../src/chapter.ts";
import type { Address } from "../src/index.ts";
import type { Scene } from "../src/scene.ts";
import { sentencesFor } from "./run-sentences.ts";
import { rejectWithStoreError, storeAt } from "./unreachable-backend.ts";

const never = (): Promise<never> => new Promise(() => {});

const hangingStores: Readonly<Record<keyof SessionStore, Partial<SessionStore>>> = {
  create: { create: never },
  read: { read: never },
  update: { update: never },
  revoke: { revoke: never },
  revokeUser: { revokeUser: never },
  listUser: { listUser: never },
  scan: { scan: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }) },
  now: { now: never },
};

async function everyCall({ store, other, stored, user }: Scene): Promise<void> {
  const { id, userId } = await stored({ userId: user() });
  await store.update(id, {});
  await store.listUser(userId!);
  for await (const _ of other.scan());
  await store.now();
  await store.revoke(id);
  await store.revokeUser(userId!);
}

test("a sentence that makes every call holds for a store that does not hang", async () => {
  const store = memoryStore();
  const backend = openBackend({ open: () => store, unreachable: null, mixedUp: null }, 200);
  await expect(perform("every call", everyCall, backend, 1)).resolves.toBeUndefined();
});

test.each(Object.entries(hangingStores))(
  "a store that hangs at %s fails with a message that names the call",
  async (method, hanging) => {
    const store = { ...memoryStore(), ...hanging };
    const backend = openBackend({ open: () => store, unreachable: null, mixedUp: null }, 200);
    await expect(perform("every call", everyCall, backend, 1)).rejects.toThrow(
      `${method} had not settled after 200 ms: every call must settle in bounded time`,
    );
  },
);

test("a store that hangs while it opens fails with a message that names open", async () => {
  const backend = openBackend({ open: never, unreachable: null, mixedUp: null }, 200);
  await expect(perform("every call", everyCall, backend, 1)).rejects.toThrow(
    "open had not settled after 200 ms",
  );
});

test(
  "a store that hangs on an unreachable backend or a mixed-up reply, even while it opens, fails before the runner ends the test",
  { timeout: 60_000 },
  async () => {
    const store = memoryStore();
    const failed: string[] = [];
    const unreachable = (address: Address): SessionStore => ({
      ...storeAt(address, rejectWithStoreError),
      update: never,
    });
    const mixedUp = (): SessionStore => ({ ...store, read: never, listUser: never });
    const hanging = [
      ...sentencesFor({ open: () => store, unreachable: never, mixedUp: never }),
      ...sentencesFor({ open: () => store, unreachable, mixedUp }),
    ].filter(({ name }) => /never replies|gets (?:another|something)/.test(name));
    await Promise.all(
      hanging.map(({ body }) => body().catch((error: unknown) => failed.push(String(error)))),
    );
    expect(failed).toHaveLength(12);
    for (const message of failed)
      expect(message).toMatch(/(?:open|update|read|listUser) .*had not settled after 20000 ms/);
  },
);
