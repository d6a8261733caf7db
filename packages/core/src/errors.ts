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
