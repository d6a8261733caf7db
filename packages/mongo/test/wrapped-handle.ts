import type { Collection, CollectionOptions } from "mongodb";
import type { MongoCollection } from "../src/index.ts";

/** Returns a collection whose store uses what `change` makes of the handle that it opens. */
export function withHandle(
  collection: Collection,
  change: (handle: Collection) => Collection,
): MongoCollection {
  const { dbName, collectionName, namespace, db } = collection;
  const open = (name: string, options?: CollectionOptions) => change(db.collection(name, options));
  const command = db.command.bind(db);
  return {
    dbName,
    collectionName,
    namespace,
    db: { client: db.client, command, collection: open },
  } as MongoCollection;
}
