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
export { type SecureCookieOptions, secureCookie } from "./secure-cookie.ts";
export {
  type ExpressSessionStore,
  expressSessionStore,
  type ExpressSessionStoreOptions,
  type ListedSession,
} from "./store.ts";
