export type {
  CookieOverrides,
  RequestLogin,
  RotateResult,
  SameSite,
  SecureCookie,
  WarningCode,
} from "@tenure/core/bridge";
export { type SecureCookieOptions, secureCookie } from "./secure-cookie.ts";
export {
  type ExpressSessionStore,
  expressSessionStore,
  type ExpressSessionStoreOptions,
  type ListedSession,
  type LoginOutcome,
} from "./store.ts";
