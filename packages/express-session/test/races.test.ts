import { describe, expect, test } from "vitest";
import { ENDINGS, LATE_REQUESTS, raceOn } from "./race.ts";
import { startServers } from "./servers.ts";

describe.for([
  { where: "on the same server", count: 1 },
  { where: "on another server with the same store", count: 2 },
] as const)("$where", ({ count }) => {
  describe.for(ENDINGS)("after $name", (ending) => {
    test.for(LATE_REQUESTS)(
      "a request that $name does not bring the session back and has status 200",
      async (request) => {
        const servers = await startServers(count);
        const outcome = await raceOn(servers, request, ending);
        expect(outcome).toEqual({ status: 200, seen: "{}", left: request.isLogout ? 0 : ending.left });
        expect(await Array.fromAsync(servers.store.scan())).toHaveLength(request.isLogout ? 0 : ending.left);
      },
    );
  });
});
