/** The operation of a store, or of `Sessions` on a store, that failed. */
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
 * The backend failed, timed out or refused. The operation may have happened, may still happen, or may not.
 *
 * Never reports absence: a dead or unknown session is a value. It does not take over the driver's `code`,
 * because session frameworks read `code === "ENOENT"` as "no such session", and a missing Unix socket has
 * that code.
 */
export class StoreError extends Error {
  override readonly name: string = "StoreError";
  readonly operation: StoreOperation;

  /**
   * @param message one line: the fact and the remedy, without a token, a key or session data
   * @param options `cause`: the driver's error
   */
  constructor(operation: StoreOperation, message: string, options?: { readonly cause?: unknown }) {
    super(`${operation}: ${message}`, options);
    this.operation = operation;
  }
}

/**
 * A fault that the store itself detects: a reply to another call, a document that is not a session, an
 * unsuitable database. The call rejects with a `StoreError` of the same message, so the message is one line
 * with the fact and the remedy, and holds no session data.
 */
export class Fault extends Error {}

/** The user has not authenticated recently enough for the operation. */
export class ReauthenticationRequired extends Error {
  override readonly name: string = "ReauthenticationRequired";
  /** For frameworks that read an error's status. */
  readonly status: number = 401;
  /** The maximum age of the authentication, milliseconds. */
  readonly maxAge: number;

  /** @param maxAge milliseconds */
  constructor(maxAge: number) {
    super("the user must authenticate again for this");
    this.maxAge = maxAge;
  }

  /** The value of the header `WWW-Authenticate` of RFC 9470, which requests a recent authentication. */
  get challenge(): string {
    return `Session error="insufficient_user_authentication", max_age="${Math.floor(this.maxAge / 1000)}"`;
  }
}
