import { memoryStore } from "@tenure/core";
import { expect, test } from "vitest";
import { failuresOf } from "./run-sentences.ts";

const HOUR = 60 * 60 * 1000;

test("on a backend that is in use, the suite ends no session that others created", async () => {
  const store = memoryStore();
  const users = [null, "", "__proto__", "ada"];
  const ids = users.map((userId) => `of ${userId}`);
  for (const userId of users) {
    const login = userId === null ? {} : { authenticatedAt: (await store.now()) - (HOUR * 3) / 4 };
    await store.create({ id: `of ${userId}`, userId, data: "", idle: HOUR, lifetime: HOUR, ...login });
  }
  const failures = await failuresOf({ open: () => store, unreachable: null, mixedUp: null });
  expect(failures).toEqual([]);
  const left = await Promise.all(ids.map(async (id) => (await store.read(id))?.id));
  expect(left).toEqual(ids);
});
