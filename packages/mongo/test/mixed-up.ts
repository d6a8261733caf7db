import type { MixUp } from "@tenure/conformance";
import type { Collection, CollectionOptions } from "mongodb";
import type { MongoCollection } from "../src/index.ts";

/** Returns a collection whose replies are mixed up in the handle that the store opens. */
export function mixedUpCollection(collection: Collection, mixUp: MixUp): MongoCollection {
  const { dbName, collectionName, namespace, db } = collection;
  const client = { command: db.command.bind(db), client: db.client };
  const open = (name: string, options?: CollectionOptions) => mixed(db.collection(name, options), mixUp);
  return { dbName, collectionName, namespace, db: { ...client, collection: open } } as MongoCollection;
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
