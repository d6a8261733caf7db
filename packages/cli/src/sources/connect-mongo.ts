import type { MongoAddress } from "../address.ts";
import { connectMongo } from "../backends/mongo-client.ts";
import { dataOf, type Source } from "./source.ts";

/**
 * Reads the sessions of connect-mongo 3 to 6. A document has `_id` (the session id), `session` (JSON text, or
 * a document with `stringify: false`) and `expires`. Sessions that its option `crypto` encrypted are
 * unreadable.
 *
 * @param collectionName the option `collectionName` of MongoStore, `"sessions"` by default
 */
export async function connectMongoSource(
  address: MongoAddress,
  collectionName: string = "sessions",
): Promise<Source> {
  const client = await connectMongo(address);
  const collection = client.db(address.database).collection<StoredSession>(collectionName);
  return {
    label: `${address.label}, collection ${collectionName}`,
    estimate: async () => (await collection.estimatedDocumentCount()) || null,
    async *sessions() {
      const { localTime } = await client.db("admin").command({ hello: 1 });
      const offset = (localTime instanceof Date ? localTime.getTime() : Date.now()) - Date.now();
      for await (const { _id, session, expires } of collection.find({}, { batchSize: 500 })) {
        if (typeof _id !== "string") continue;
        const left = expires instanceof Date ? expires.getTime() - (Date.now() + offset) : null;
        yield { token: _id, data: dataOf(session), left };
      }
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

interface StoredSession {
  readonly _id: unknown;
  readonly session?: unknown;
  readonly expires?: unknown;
}
