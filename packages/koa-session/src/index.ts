export type { RequestContext } from "./framework.ts";
export {
  type KoaSessionStore,
  type KoaSessionStoreOptions,
  koaSessionStore,
  type StoreCall,
} from "./store.ts";
