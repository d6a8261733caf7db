import { StoreError } from "@tenure/core";
import type { MixUp } from "../src/index.ts";
import { type Parts, workshop } from "./workshop.ts";

/** The same backend, with replies that are mixed up. */
export function mixedUp(
  { sessions, tombstones, index, fences }: Parts,
  mixUp: MixUp,
  replace: (sound: Parts) => Partial<Parts> = () => ({}),
): Parts {
  return workshop((sound) => ({
    ...replace(sound),
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
        .map((id) => sound.find(id, now))
        .filter((entry) => entry !== undefined);
      if (replace(sound).checked === undefined && entries.some((entry) => entry.userId !== userId)) {
        throw new StoreError("listUser", "the reply is not the list that was asked for");
      }
      return entries;
    },
  }));
}
