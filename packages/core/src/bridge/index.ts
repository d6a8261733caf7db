export { answer } from "./answer.ts";
export { isSignedWith } from "./cookie-signature.ts";
export type { HeldSession, RotatedSession } from "./held-session.ts";
export { type HolderOptions, type SessionHolder, sessionHolder } from "./holder.ts";
export { type HiddenValue, hiddenValue } from "./hidden-value.ts";
export { isExpired, isSameMaxAge, type MaxAge } from "./max-age.ts";
export {
  type CookieSettings,
  warnOfUnsafeCookie,
  warnOfUnsafeSecret,
  warnOfWellKnownSecret,
} from "./unsafe-cookie.ts";
export { type Warn, type WarningCode, warnOnce } from "./warnings.ts";
