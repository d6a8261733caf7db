/** What a store was asked to do, or what `Sessions` was doing with it. */
export type StoreOperation =
  | "create"
  | "read"
  | "update"
  | "revoke"
  | "revokeUser"
  | "listUser"
  | "scan"
  | "now"
  | "sweep";

/**
 * The backend failed, timed out or refused; what was asked may have happened, may still happen, or not.
 *
 * It is never an absence: a session that is dead or unknown is a value. It never carries the driver's `code` as its own,
 * because session frameworks read `code === "ENOENT"` as "no such session", and a missing unix socket has that very code.
 */
export class StoreError extends Error {
  override readonly name: string = "StoreError";
  readonly operation: StoreOperation;

  /**
   * @param operation what was asked of the store
   * @param message one line: the fact and the remedy, without a token, a key or session data
   * @param options `cause`: what the driver threw
   */
  constructor(operation: StoreOperation, message: string, options?: { readonly cause?: unknown }) {
    super(`${operation}: ${message}`, options);
    this.operation = operation;
  }
}

/**
 * What a store itself found wrong, deep in its own code: a reply to another call, a document that is not a session, a database that it
 * cannot work on. The message states the fact and the remedy in one line and holds no session data, so that the call can reject with a
 * `StoreError` of the same message.
 */
export class Fault extends Error {}

/** The user has not authenticated recently enough for what was asked. */
export class ReauthenticationRequired extends Error {
  override readonly name: string = "ReauthenticationRequired";
  /** For frameworks that read an error's status. */
  readonly status: number = 401;
  /** How recent the authentication must be, milliseconds. */
  readonly maxAge: number;

  /** @param maxAge milliseconds */
  constructor(maxAge: number) {
    super("the user must authenticate again for this");
    this.maxAge = maxAge;
  }

  /** The header `WWW-Authenticate` of RFC 9470, which asks the client for a recent authentication. */
  get challenge(): string {
    return `Session error="insufficient_user_authentication", max_age="${Math.floor(this.maxAge / 1000)}"`;
  }
}
