import { describe, expect, test } from "vitest";
import { blindBridge } from "./blind-bridge.ts";
import { forgetfulStore } from "./forgetful-store.ts";
import { ACTS, ENDINGS, raceOn, race } from "./race.ts";
import { stage } from "./stage.ts";

describe("by identity alone, on a store that keeps no tombstones, ended by another server", () => {
  describe.for(ENDINGS)("after $name", (ending) => {
    test.for(ACTS)("a request that $name changes nothing", async (act) => {
      const outcome = await raceOn(await stage(2, { storeOf: forgetfulStore }), act, ending);
      expect(outcome).toEqual({ status: 200, seen: "{}", left: act.isLogout ? 0 : ending.left });
    });
  });
});

describe("by tombstones alone, through a bridge that can't tell a loaded session", () => {
  // What expired leaves no tombstone: only identity holds there.
  describe.for(ENDINGS.filter(({ leavesTombstone, name }) => leavesTombstone && name !== "a rotation"))(
    "after $name",
    (ending) => {
      test.for(ACTS.filter(({ needsIdentity }) => !needsIdentity))(
        "a request that $name changes nothing",
        async (act) => {
          const outcome = await raceOn(await stage(2, { bridgeOf: blindBridge }), act, ending);
          // An explicit save under a key that has ended is an error.
          expect(outcome).toMatchObject({ seen: "{}", left: ending.left });
        },
      );
    },
  );
});

test("with neither, a request that saves a change brings the session back: the two tests above can fail", async () => {
  const set = await stage(2, { storeOf: forgetfulStore, bridgeOf: blindBridge });
  const act = ACTS.find(({ name }) => name === "saves a change")!;
  const { seen } = await race(set.slow, act, (browser) => browser.twin(set.other.origin).post("/logout"));
  expect(JSON.parse(seen)).toHaveProperty("a");
});
