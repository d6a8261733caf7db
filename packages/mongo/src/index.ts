export { ensureIndexes } from "./indexes.ts";
export { type MongoStore, mongoStore, type MongoStoreOptions } from "./store.ts";
