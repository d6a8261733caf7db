export type { RequestLogin, RotateResult, WarningCode } from "@tenure/core/bridge";
export {
  type ExpressSessionStore,
  expressSessionStore,
  type ExpressSessionStoreOptions,
  type ListedSession,
  type LoginOutcome,
} from "./store.ts";
