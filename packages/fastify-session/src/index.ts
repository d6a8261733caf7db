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
  type FastifySessionStore,
  type FastifySessionStoreOptions,
  fastifySessionStore,
  type RequestWithSession,
} from "./store.ts";
