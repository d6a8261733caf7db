import assert from "node:assert/strict";
import { memoryStore, Sessions, type SessionStore, StoreError } from "@tenure/core";
import { describe, expect, test, vi } from "vitest";

vi.resetModules();
const copy = await import("@tenure/core");

describe("if a store brings another copy of this package,", () => {
  test("every call still rejects with a StoreError of this copy, with the message and the driver's error", async () => {
    const cause = new Error("connect ECONNREFUSED");
    const down = new copy.StoreError("update", "the server is down", { cause });
    const store = memoryStore();
    const sessions = new Sessions({ store: { ...store, update: () => Promise.reject(down) } });
    const { session } = await sessions.create({});
    const error: unknown = await sessions.save(session, { a: 1 }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ message: "update: the server is down", operation: "update", cause });
  });

  test.each(["rotate", "logIn"] as const)("one failure of %s costs nobody the session", async (call) => {
    const sessions = new Sessions({ store: losesReply(1) });
    const { token } = await sessions.create({});
    const made = call === "logIn" ? await sessions.logIn(token, "ada") : await sessions.rotate(token);
    assert(typeof made === "object" && made?.token);
    expect(await sessions.get(made.token)).not.toBeNull();
  });

  test("a failed update is not made again", async () => {
    const sessions = new Sessions({ store: losesReply(2) });
    const { token, session } = await sessions.create({ n: 0 });
    const increment = () => sessions.update(session, (data) => ({ ...data, n: Number(data.n) + 1 }));
    const first = sessions.save(session, { n: 0, a: 1 });
    // These two wait for the first save, and leave together.
    const joined = await Promise.allSettled([increment(), increment()]);
    await first;
    expect(joined.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect((await sessions.get(token))?.data).toEqual({ n: 2, a: 1 });
  });
});

/** Returns a store that makes an update, the first or a later one, and loses its reply. */
function losesReply(lost: number): SessionStore {
  const store = copy.memoryStore();
  let updates = 0;
  return {
    ...store,
    async update(id, changes) {
      const result = await store.update(id, changes);
      updates += 1;
      if (updates === lost) throw new copy.StoreError("update", "the reply was lost");
      return result;
    },
  };
}
