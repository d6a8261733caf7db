import { StoreError } from "@tenure/core";
import type { MixUp } from "../src/index.ts";
import { type ModularStore, modularStore, type Replace } from "./modular-store.ts";

/** Opens another store on the same backend, whose replies are mixed up. */
export function withMixedUpReplies(
  { sessions, tombstones, index, fences }: ModularStore,
  mixUp: MixUp,
  replace: Replace = () => ({}),
): ModularStore {
  return modularStore((base) => ({
    ...replace(base),
    sessions,
    tombstones,
    index,
    fences,
    fetch(id) {
      if (mixUp.kind === "value") return mixUp.value;
      return sessions.get(mixUp.swapped(id));
    },
    ofUser(userId, now) {
      const entries = [...(index.get(mixUp.kind === "value" ? userId : mixUp.swapped(userId)) ?? [])]
        .map((id) => base.find(id, now))
        .filter((entry) => entry !== undefined);
      if (replace(base).decode === undefined && entries.some((entry) => entry.userId !== userId)) {
        throw new StoreError("listUser", "the reply is not the requested list");
      }
      return entries;
    },
  }));
}
