export { type Duration, parseDuration } from "./duration.ts";
export { type Codec, jsonCodec } from "./encoding.ts";
export { ReauthenticationRequired, StoreError, type StoreOperation } from "./errors.ts";
export type {
  EndedBy,
  EventOutcome,
  RevokedEvent,
  RevokeReason,
  SessionEvent,
  SessionEvents,
} from "./events.ts";
export type { LoginRefusal } from "./cap.ts";
export { memoryStore, type MemoryStoreOptions } from "./memory.ts";
export type { Policy, SessionsOptions } from "./policy.ts";
export type { ProtectKey, ProtectOptions } from "./protection.ts";
export type { Reencrypted, ReencryptOptions } from "./reencryption.ts";
export type { ListedSession, Session, SessionFacts } from "./session.ts";
export {
  type Created,
  LoginRefused,
  type LoginSettings,
  type NewSessionSettings,
  type Refused,
  Sessions,
} from "./sessions.ts";
export {
  MAX_DURATION,
  type CreateResult,
  type NewSession,
  type RevokeUserOptions,
  type SessionChanges,
  type SessionRecord,
  type SessionStore,
  type UpdateResult,
} from "./store.ts";
export { newToken } from "./token.ts";
export type { UserId } from "./user.ts";
