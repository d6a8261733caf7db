import { memoryStore } from "@tenure/core";
import session from "express-session";
import memorystore from "memorystore";
import type { Competitor, Contest } from "./competitor.ts";
import { fromCallback } from "./from-callback.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

export const memory: Contest = {
  competitors: {
    Tenure: async () => tenure(memoryStore(), async () => undefined),
    memorystore: async () => memorystoreCompetitor(),
  },
  targets: [
    { cell: "page view, C=64", peer: "memorystore", times: 2 },
    { cell: "mix, C=64", peer: "memorystore", times: 1.6 },
  ],
};

/** Set up as its README recommends. It prunes once a day. */
function memorystoreCompetitor(): Competitor {
  const MemoryStore = memorystore(session);
  const store = new MemoryStore({ checkPeriod: 86_400_000 });
  return {
    store,
    revocation: "store.all(), then destroy",
    async revokeUser(userId) {
      const all = await fromCallback<Record<string, object> | null>((done) => store.all(done));
      const theirs = Object.entries(all ?? {}).flatMap(([token, data]) =>
        (data as Data).userId === userId ? token : [],
      );
      for (const token of theirs) store.destroy(token);
      return theirs.length;
    },
    close: async () => store.stopInterval(),
  };
}
