import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { MongoClient } from "mongodb";
import type { OpenedStore } from "./open-store.ts";

export async function openMongo(address: string, shown: string): Promise<OpenedStore> {
  const client = new MongoClient(address, { serverSelectionTimeoutMS: 3000 });
  const collection = client.db().collection("tenure_demo_sessions");
  try {
    await client.connect();
    await ensureIndexes(collection);
  } catch (error) {
    await client.close();
    throw error;
  }
  return { store: mongoStore(collection), place: `MongoDB at ${shown}`, close: () => client.close() };
}
