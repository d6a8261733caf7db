export type {
  BridgeOptions,
  CookieOverrides,
  LoginOutcome,
  RequestLogin,
  RotateResult,
  SameSite,
  SecureCookie,
  SessionCalls,
  WarningCode,
} from "@tenure/core/bridge";
export type { RequestContext } from "./framework.ts";
export { type SecureCookieOptions, secureCookie } from "./secure-cookie.ts";
export {
  type KoaSessionStore,
  type KoaSessionStoreOptions,
  koaSessionStore,
  type StoreCall,
} from "./store.ts";
