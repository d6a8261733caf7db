import { describe, expect, test } from "vitest";
import { ENDINGS, LATE_REQUESTS, race, raceOn } from "./race.ts";
import { startServers } from "./servers.ts";
import { statelessBridge } from "./stateless-bridge.ts";
import { storeWithoutTombstones } from "./store-without-tombstones.ts";

describe("on a store without tombstones", () => {
  describe.for(ENDINGS)("after $name on another server", (ending) => {
    test.for(LATE_REQUESTS)("a request that $name does not bring the session back", async (request) => {
      const servers = await startServers(2, { storeOf: storeWithoutTombstones });
      const outcome = await raceOn(servers, request, ending);
      expect(outcome).toEqual({ status: 200, seen: "{}", left: request.isLogout ? 0 : ending.left });
    });
  });
});

describe("through a bridge that does not know which session a request has loaded", () => {
  // Only tombstones can stop the request there.
  describe.for(ENDINGS.filter(({ leavesTombstone }) => leavesTombstone))(
    "after $name on another server",
    (ending) => {
      test.for(LATE_REQUESTS.filter(({ needsIdentity }) => !needsIdentity))(
        "a request that $name does not bring the session back",
        async (request) => {
          const outcome = await raceOn(await startServers(2, { bridgeOf: statelessBridge }), request, ending);
          // Not the status: an explicit save under an ended key is an error.
          expect(outcome).toMatchObject({ seen: "{}", left: ending.left });
        },
      );
    },
  );
});

// Shows that the tests above can fail.
test("on a store without tombstones and through such a bridge, a request that saves a change brings the session back", async () => {
  const { slow, other } = await startServers(2, {
    storeOf: storeWithoutTombstones,
    bridgeOf: statelessBridge,
  });
  const { seen } = await race(slow, "set:a", (browser) => browser.twin(other.origin).post("/logout"));
  expect(JSON.parse(seen)).toHaveProperty("a");
});
