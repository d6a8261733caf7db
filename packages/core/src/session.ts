import type { SessionRecord } from "./store.ts";

/**
 * A session as the caller saw it at one instant. Instants are epoch milliseconds of the store's clock. It holds no token
 * and is safe to list.
 */
export interface Session<Data extends object = Record<string, unknown>> {
  /** The token's digest: names the session, logs nobody in. */
  readonly id: string;
  /** `null` while anonymous. */
  readonly userId: string | null;
  /** The caller's own copy: change it as you like and `save` it. */
  readonly data: Data;
  readonly createdAt: number;
  /** Last used. After a save or touch: this process's estimate of the store's clock. */
  readonly touchedAt: number;
  /** The idle timeout in force, milliseconds. */
  readonly idle: number;
  /** Dead from here on unless it is used before. */
  readonly expiresAt: number;
  /** Dead from here on, whatever its use. */
  readonly endsAt: number;
}

/** A session that remembers, out of the caller's reach, the record that it was made from. */
export function toSession<Data extends object>(record: SessionRecord, data: Data): Session<Data> {
  return new RecordedSession(record, data);
}

/** @throws TypeError for an object that no `Sessions` made, a copy included: a copy can't tell what was seen */
export function recordOf(session: Session<object>): SessionRecord {
  const record = RecordedSession.recordOf(session);
  if (record) return record;
  throw new TypeError(
    "this is no session that create, get, save or rotate answered: pass that very object, not a copy",
  );
}

/** A private field is beyond copies and JSON, and costs a page view nothing; a WeakMap doubles the collector's work. */
class RecordedSession<Data extends object> implements Session<Data> {
  readonly id: string;
  readonly userId: string | null;
  readonly data: Data;
  readonly createdAt: number;
  readonly touchedAt: number;
  readonly idle: number;
  readonly expiresAt: number;
  readonly endsAt: number;
  readonly #record: SessionRecord;

  constructor(record: SessionRecord, data: Data) {
    this.id = record.id;
    this.userId = record.userId;
    this.data = data;
    this.createdAt = record.createdAt;
    this.touchedAt = record.touchedAt;
    this.idle = record.idle;
    this.expiresAt = record.expiresAt;
    this.endsAt = record.endsAt;
    this.#record = record;
  }

  static recordOf(session: unknown): SessionRecord | undefined {
    return typeof session === "object" && session !== null && #record in session
      ? session.#record
      : undefined;
  }
}
