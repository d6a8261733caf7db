export type { MongoCollection, ReadConcernLevel } from "./handle.ts";
export { ensureIndexes } from "./indexes.ts";
export { type MongoClientSession, type MongoStore, mongoStore, type MongoStoreOptions } from "./store.ts";
