export { type ExpressSessionStore, expressSessionStore, type ExpressSessionStoreOptions } from "./store.ts";
