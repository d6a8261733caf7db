export type { Head, PreviousToken, StoredSession } from "../envelope.ts";
export type { Live, Look } from "../look.ts";
export { isOwnToken } from "../token.ts";
export { Bridge } from "./bridge.ts";
export { callBack } from "./callback.ts";
export { type HiddenValue, hiddenValue } from "./hidden-value.ts";
export { setKey } from "./key-value.ts";
export { isExpired, isSameMaxAge, type MaxAge } from "./max-age.ts";
export { assertOptions, type BridgeOptions } from "./options.ts";
export type { Copy, Loaded, LoadedLive, LoadedOther, LoadResult, OtherCookie } from "./request-cookie.ts";
export type {
  RequestLoginResult,
  RequestOptions,
  RequestSession,
  RequestState,
  SaveResult,
} from "./request-session.ts";
export { assertNotBegun } from "./response-begun.ts";
export { type CookieOverrides, type SameSite, type SecureCookie, secureCookieOf } from "./secure-cookie.ts";
export type { LoginOutcome, RequestLogin, RotateResult, SessionCalls } from "./session-calls.ts";
export {
  type CookieSettings,
  type Warn,
  type WarningCode,
  warnOfUnsafeCookie,
  warnOfWeakSecret,
  warnOnce,
} from "./warnings.ts";
