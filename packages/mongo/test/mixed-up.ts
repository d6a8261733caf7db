import type { MixUp } from "@tenure/conformance";
import type { Collection } from "mongodb";
import type { MongoCollection } from "../src/index.ts";
import { withHandle } from "./wrapped-handle.ts";

/** Returns a collection whose store gets mixed-up replies. */
export function mixedUpCollection(collection: Collection, mixUp: MixUp): MongoCollection {
  return withHandle(collection, (handle) => mixed(handle, mixUp));
}

function mixed(collection: Collection, mixUp: MixUp): Collection {
  return new Proxy(collection, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      if (mixUp.kind === "another" && name !== "listIndexes") {
        return (...given: unknown[]) => member.apply(target, mixUp.swapped(given));
      }
      if (mixUp.kind === "value" && (name === "find" || name === "aggregate")) {
        return () => ({ toArray: async () => [mixUp.value] });
      }
      if (mixUp.kind === "value" && name === "findOne") return async () => mixUp.value;
      return member.bind(target);
    },
  });
}
