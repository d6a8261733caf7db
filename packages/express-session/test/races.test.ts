import { describe, expect, test } from "vitest";
import { ACTS, ENDINGS, raceOn } from "./race.ts";
import { stage } from "./stage.ts";

describe.for([
  { where: "in one server", instances: 1 },
  { where: "in another server on the same store", instances: 2 },
] as const)("$where", ({ instances }) => {
  describe.for(ENDINGS)("after $name", (ending) => {
    test.for(ACTS)("a request that $name changes nothing and has status 200", async (act) => {
      const set = await stage(instances);
      const outcome = await raceOn(set, act, ending);
      expect(outcome).toEqual({ status: 200, seen: "{}", left: act.isLogout ? 0 : ending.left });
      expect(await Array.fromAsync(set.store.scan())).toHaveLength(act.isLogout ? 0 : ending.left);
    });
  });
});
