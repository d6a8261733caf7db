export { type KoaSessionStore, type KoaSessionStoreOptions, koaSessionStore } from "./store.ts";
