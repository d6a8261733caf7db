import { memoryStore } from "@tenure/core";
import { expect, test } from "vitest";
import { bridgeOfGuide } from "./guide.ts";
import { login, onStage } from "./stage.ts";

test("the bridge of the guide takes a login after a logout in one request", async () => {
  const open = { store: memoryStore(), close: async () => undefined };
  await onStage(bridgeOfGuide, open, async ({ serve, sessions, userId }) => {
    const all = sessions();
    const { browser } = await serve(all);
    const alice = browser();
    await alice.does(...login(userId));
    const thief = alice.twin();
    await alice.does("destroy", ...login(userId));
    await expect(alice.userId()).resolves.toBe(userId);
    await expect(thief.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  });
});
