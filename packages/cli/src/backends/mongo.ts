import { ensureIndexes, mongoStore } from "@tenure/mongo";
import type { MongoAddress } from "../address.ts";
import type { Backend, StoreOptions } from "../backend.ts";
import { UsageError } from "../usage-error.ts";
import { checkMongo } from "./mongo-checks.ts";
import { connectMongo } from "./mongo-client.ts";

export async function mongoBackend(
  address: MongoAddress,
  { collection: name, tombstoneMinimum }: StoreOptions,
): Promise<Backend> {
  if (name === undefined) {
    throw new UsageError(
      "Name the collection that the application passes to mongoStore: --collection sessions",
    );
  }
  const client = await connectMongo(address);
  const collection = client.db(address.database).collection(name);
  return {
    label: `${address.label}, collection ${name}`,
    store: mongoStore(collection, tombstoneMinimum === undefined ? {} : { tombstoneMinimum }),
    check: () => checkMongo(client, collection),
    async migrate() {
      await ensureIndexes(collection);
      return "The indexes exist.";
    },
    sweep: async () => ({
      swept: null,
      text: "MongoDB's TTL index removes dead sessions: nothing to do. tenure doctor checks that the index exists.",
    }),
    // Includes tombstones and fences.
    estimate: async () => (await collection.estimatedDocumentCount()) || null,
    [Symbol.asyncDispose]: () => client.close(),
  };
}
