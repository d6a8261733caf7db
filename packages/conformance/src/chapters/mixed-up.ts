import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { SessionStore } from "@tenure/core";
import { isStoreError, settled } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import type { Scene } from "../scene.ts";
import type { MixUp } from "../store-under-test.ts";

/** For stores whose replies can be mixed up. */
export const mixedUp: Chapter = {
  title: "12. The right record: replies that are mixed up",
  sentences: {
    "a read that gets another session's value is a StoreError, and shows nobody's data": async (scene) => {
      const { own, another } = await twoSessions(scene);
      const store = await mixedUpStore(scene, anothers(own.id, another.id));
      await assertStoreError("read", () => store.read(own.id));
      const right = await store.read(another.id);
      assert.deepEqual(right, another, "a reply that is not mixed up is read correctly");
    },

    "a listUser that gets another session's value is a StoreError, or shows the user's own sessions alone":
      async (scene) => {
        const { own, another } = await twoSessions(scene);
        for (const mixUp of [anothers(own.id, another.id), anothers(own.userId!, another.userId!)]) {
          const store = await mixedUpStore(scene, mixUp);
          const outcome = await outcomeOf("listUser", () => store.listUser(own.userId!));
          if ("error" in outcome) assertIsStoreError("listUser", outcome.error);
          else
            assert.ok(
              outcome.result.every(({ id }) => id === own.id),
              "a session of another user is listed",
            );
        }
      },

    "a read that gets something that is not a session is a StoreError": (scene) =>
      eachValue(scene, "read", (store, own) => store.read(own.id)),

    "a listUser that gets something that is not a session is a StoreError": (scene) =>
      eachValue(scene, "listUser", (store, own) => store.listUser(own.userId)),
  },
};

const SECRET = "the data of a session";
/** Milliseconds: much longer than a call takes, even on a slow machine. */
const PATIENCE = 20_000;

async function twoSessions({ stored, user }: Scene) {
  return {
    own: await stored({ userId: user(), data: `${SECRET}: own` }),
    another: await stored({ userId: user(), data: `${SECRET}: another's` }),
  };
}

async function eachValue(
  scene: Scene,
  operation: string,
  call: (store: SessionStore, own: { readonly id: string; readonly userId: string }) => Promise<unknown>,
): Promise<void> {
  const [id, userId] = [scene.id(), scene.user()];
  await scene.stored({ id, userId });
  for (const value of [7, 0, "OK", "", [], [SECRET], {}, { data: SECRET }]) {
    const store = await mixedUpStore(scene, { kind: "value", value });
    await assertStoreError(`${operation} with the value ${inspect(value)}`, () =>
      call(store, { id, userId }),
    );
  }
}

async function mixedUpStore({ mixedUp: open }: Scene, mixUp: MixUp): Promise<SessionStore> {
  if (typeof open !== "function")
    throw new TypeError("mixedUp must be a function, or null for a store in memory");
  return settled("open", open(mixUp), PATIENCE);
}

function anothers(asked: string, sent: string): MixUp {
  return { kind: "another", asked, sent, swapped: (given) => swap(given, asked, sent) };
}

/** The casts keep the shape: only strings change. */
function swap<Given>(given: Given, asked: string, sent: string): Given {
  if (typeof given === "string") return given.replaceAll(asked, sent) as Given;
  if (Array.isArray(given)) return given.map((item: unknown) => swap(item, asked, sent)) as Given;
  if (typeof given !== "object" || given === null) return given;
  const prototype: unknown = Object.getPrototypeOf(given);
  if (prototype !== Object.prototype && prototype !== null) return given;
  const entries = Object.entries(given).map(([key, value]) => [key, swap<unknown>(value, asked, sent)]);
  return Object.fromEntries(entries) as Given;
}

type Outcome<Result> = { readonly result: Result } | { readonly error: unknown };

async function outcomeOf<Result>(what: string, call: () => Promise<Result>): Promise<Outcome<Result>> {
  try {
    return { result: await settled(what, call(), PATIENCE) };
  } catch (error) {
    return { error };
  }
}

async function assertStoreError(what: string, call: () => Promise<unknown>): Promise<void> {
  const outcome = await outcomeOf(what, call);
  // Does not print the result: on a shared backend it may be anybody's data.
  assert.ok("error" in outcome, `${what} resolved instead of rejecting with a StoreError`);
  assertIsStoreError(what, outcome.error);
}

function assertIsStoreError(what: string, error: unknown): void {
  assert.ok(isStoreError(error), `${what} rejected with ${String(error)} instead of a StoreError`);
  const shown = inspect(error, { depth: 10, showHidden: true });
  assert.ok(!shown.includes(SECRET), `${what} rejected with an error that shows data`);
}
