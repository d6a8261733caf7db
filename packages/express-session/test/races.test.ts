import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ACTS, ENDINGS, race } from "./race.ts";
import { stage } from "./stage.ts";

describe.for([
  { where: "in one server", instances: 1 },
  { where: "in another server on the same store", instances: 2 },
] as const)("$where", ({ instances }) => {
  describe.for(ENDINGS)("after $name", (ending) => {
    test.for(ACTS)("a request that $name changes nothing and answers 200", async (act) => {
      const set = await stage(instances);
      const origin = act.resave ? set.slow.resaving : set.slow.origin;
      const user = randomUUID();
      const outcome = await race(
        { origin },
        act,
        (browser) => ending.end(set, browser.twin(set.other.origin), user),
        user,
      );
      expect(outcome).toEqual({ status: 200, seen: "{}" });
      expect(await set.sessions.listForUser(user)).toHaveLength(ending.left);
      let alive = 0;
      for await (const _ of set.store.scan()) alive += 1;
      expect(alive).toBe(ending.left);
    });
  });
});
