import { MongoClient } from "mongodb";
import type { MongoAddress } from "../address.ts";

/**
 * Connects with short timeouts, because a person is waiting. Whatever the URL says, reads go to the primary: a
 * secondary may lag behind, and still have a session that was ended. Rejects with the driver's error.
 */
export async function connectMongo({ url }: MongoAddress): Promise<MongoClient> {
  const client = new MongoClient(url, {
    appName: "tenure",
    readPreference: "primary",
    serverSelectionTimeoutMS: 5000,
    connectTimeoutMS: 5000,
    socketTimeoutMS: 120_000,
  });
  try {
    return await client.connect();
  } catch (error) {
    await client.close();
    throw error;
  }
}
