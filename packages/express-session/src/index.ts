export {
  type ExpressSessionStore,
  expressSessionStore,
  type ExpressSessionStoreOptions,
  type ListedSession,
} from "./store.ts";
