export { isOwnToken } from "../token.ts";
export { Bridge, type Loaded } from "./bridge.ts";
export { callBack } from "./callback.ts";
export {
  type CookieSettings,
  warnOfUnsafeCookie,
  warnOfUnsentCookie,
  warnOfWeakSecret,
} from "./cookie-warnings.ts";
export { type HiddenValue, hiddenValue } from "./hidden-value.ts";
export { setKey } from "./key-value.ts";
export { isExpired, isSameMaxAge, type MaxAge } from "./max-age.ts";
export { assertOptions } from "./options.ts";
export type {
  RequestLogin,
  RequestLoginResult,
  RequestSession,
  RotateResult,
  SaveResult,
} from "./request-session.ts";
export { type CookieOverrides, type SameSite, type SecureCookie, secureCookieOf } from "./secure-cookie.ts";
export { type Warn, type WarningCode, warnOnce } from "./warnings.ts";
