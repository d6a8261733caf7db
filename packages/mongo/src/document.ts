import { createHash } from "node:crypto";
import type { SessionRecord } from "@tenure/core";
import { Fault } from "@tenure/core/store";

/** A document, or part of one: a session, a tombstone or a fence. The layout is described in `store.ts`. */
export interface Stored {
  readonly _id: string | FenceId;
  /** The version of the format. */
  readonly v?: number;
  readonly endsAt?: Date;
  /** The marks of the last writes. */
  readonly nonces?: readonly string[];

  readonly userId?: string;
  readonly authenticatedAt?: Date;
  readonly data?: string;
  readonly version?: number;
  readonly createdAt?: Date;
  readonly touchedAt?: Date;
  readonly idle?: number;
  readonly expiresAt?: Date;
  readonly unchecked?: Unchecked;

  /** In a tombstone: the nonce of the `revoke` or `revokeUser` that ended the live session. */
  readonly endedBy?: string;
  /** In a tombstone: the nonce of the create or update that the fence refused. */
  readonly refused?: string;
  /**
   * In a tombstone: the fence refused a create, so nothing was ever readable under this id and it is free.
   */
  readonly vacant?: true;

  readonly fence?: Date;
  /** In a fence: the server's clock at the last `revokeUser`. */
  readonly setAt?: Date;
  /** In a fence: a nonce. A transaction that binds writes it to conflict with a concurrent `revokeUser`. */
  readonly boundBy?: string;

  /** Not stored, but computed by some queries. */
  readonly alive?: boolean;
}

/** A binding to a user that has not been compared with the user's fence. */
export interface Unchecked {
  /** The nonce of the create or update that made it. */
  readonly by: string;
  /** The given `authenticatedAt`. If absent, the binding counts as made after every fence so far. */
  readonly given?: Date;
}

export interface FenceId {
  readonly user: string;
}

/** Not a string, so that no session has it. A digest, because FerretDB 2.7 limits the length of `_id`. */
export function fenceId(userId: string): FenceId {
  return { user: createHash("sha256").update(userId).digest("base64url") };
}

/** The document of a session or a tombstone. */
export interface Named extends Stored {
  readonly _id: string;
}

/** The sessions that a query selects: of these ids, of this user, or any. */
export interface Selection {
  readonly ids?: ReadonlySet<string>;
  readonly userId?: string;
}

/** @throws Fault if the value is not a document that the query selects */
export function namedIn(value: unknown, { ids, userId }: Selection): Named {
  const { _id: id, userId: owner } = (value ?? {}) as Partial<Named>;
  const isSelected =
    typeof id === "string" &&
    (ids === undefined || ids.has(id)) &&
    (userId === undefined || userId === owner);
  if (!isSelected) throw new Fault("the reply holds a document that the query did not select");
  return value as Named;
}

export function idOf({ _id: id }: Named): string {
  return id;
}

/**
 * Decodes the document of a session.
 *
 * @throws Fault if it is not a session in this format
 */
export function decodeRecord(document: Named): SessionRecord {
  const { _id: id, v, userId = null, authenticatedAt = null, data, version, idle } = document;
  const isSession =
    v === 1 &&
    (userId === null) === (authenticatedAt === null) &&
    typeof data === "string" &&
    typeof version === "number" &&
    typeof idle === "number";
  if (!isSession) throw notASession();
  return {
    id,
    userId,
    authenticatedAt: authenticatedAt === null ? null : millisecondsOf(authenticatedAt),
    data,
    version,
    createdAt: millisecondsOf(document.createdAt),
    touchedAt: millisecondsOf(document.touchedAt),
    idle,
    expiresAt: millisecondsOf(document.expiresAt),
    endsAt: millisecondsOf(document.endsAt),
  };
}

/** @throws Fault if it is not a date */
export function millisecondsOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  throw notASession();
}

export function notASession(): Fault {
  return new Fault(
    "a document in the collection is not a session in this version's format: give sessions their own collection",
  );
}
