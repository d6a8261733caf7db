import { createHash } from "node:crypto";
import type { SessionRecord } from "@tenure/core";
import { Fault } from "@tenure/core/store";

/** A document of the collection, or a part of one: a session, a tombstone or a fence. The layout is at the top of `store.ts`. */
export interface Stored {
  readonly _id: string | FenceId;
  /** The version of the format. */
  readonly v?: number;
  readonly endsAt?: Date;
  /** Of the last writes. */
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

  /** Of a tombstone: the nonce of the `revoke` or `revokeUser` that ended the session while it was alive. */
  readonly endedBy?: string;
  /** Of a tombstone: the nonce of the create or update that the fence refused. */
  readonly refused?: string;
  /** Of a tombstone: a create was refused. Nothing was ever readable under this id, and it may be created. */
  readonly vacant?: true;

  readonly fence?: Date;
  /** Of a fence: the server's clock at the last `revokeUser`. */
  readonly setAt?: Date;
  /** Of a fence: a nonce. A transaction that binds writes it, so that it conflicts with a `revokeUser` meanwhile. */
  readonly boundBy?: string;

  /** Not stored: some queries compute it. */
  readonly alive?: boolean;
}

/** A binding to a user that was not yet compared with the user's fence. */
export interface Unchecked {
  /** The nonce of the create or update that made it. */
  readonly by: string;
  /** The `authenticatedAt` that the caller gave. Absent: the binding counts as made after every fence so far. */
  readonly given?: Date;
}

export interface FenceId {
  readonly user: string;
}

/** Not a string, so no session has it. A digest, because some servers limit the length of `_id` (FerretDB 2.7). */
export function fenceId(userId: string): FenceId {
  return { user: createHash("sha256").update(userId).digest("base64url") };
}

/** A document that says which session it is or was. */
export interface Named extends Stored {
  readonly _id: string;
}

/** What a query asked for: sessions of these ids, or of this user, or any. */
export interface Asked {
  readonly ids?: ReadonlySet<string>;
  readonly userId?: string;
}

/** @throws Fault if the value is not a document that was asked for */
export function namedIn(value: unknown, { ids, userId }: Asked): Named {
  const { _id: id, userId: owner } = (value ?? {}) as Partial<Named>;
  const isAsked =
    typeof id === "string" &&
    (ids === undefined || ids.has(id)) &&
    (userId === undefined || userId === owner);
  if (!isAsked) throw new Fault("the reply holds something other than what was asked for");
  return value as Named;
}

export function idOf({ _id: id }: Named): string {
  return id;
}

/**
 * The record of a session's document.
 *
 * @throws Fault if it is not the document of a session in this format
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

function millisecondsOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  throw notASession();
}

export function notASession(): Fault {
  return new Fault(
    "a document in the collection is not a session in the format of this version: give sessions a collection of their own",
  );
}
