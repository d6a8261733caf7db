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
  type FastifySessionStore,
  type FastifySessionStoreOptions,
  fastifySessionStore,
  type LoginOutcome,
  type RequestWithSession,
} from "./store.ts";
