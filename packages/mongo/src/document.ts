import { createHash } from "node:crypto";
import type { SessionRecord } from "@tenure/core";
import type { Document } from "mongodb";
import { Fault } from "./failure.ts";

/** A session as it is stored. The layout is at the top of `store.ts`. */
export interface StoredSession {
  readonly _id: string;
  readonly v: 1;
  readonly userId?: string;
  readonly authenticatedAt?: Date;
  readonly data: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly touchedAt: Date;
  readonly idle: number;
  readonly expiresAt: Date;
  readonly endsAt: Date;
  readonly nonces: readonly string[];
  readonly unchecked?: Unchecked;
}

/** A binding to a user that was not yet compared with the user's fence. */
export interface Unchecked {
  /** The nonce of the create or update that made it. */
  readonly by: string;
  /** The `authenticatedAt` that the caller gave. Absent: the binding counts as made after every fence so far. */
  readonly given?: Date;
}

/** What is left of a session that was revoked or refused. */
export interface StoredTombstone {
  readonly _id: string;
  readonly v: 1;
  /** The nonce of the `revoke` or `revokeUser` that ended it while it was alive. */
  readonly endedBy?: string;
  /** The nonce of the create or update that the fence refused. */
  readonly refused?: string;
  /** A create was refused: nothing was ever readable under this id, and it may be created. */
  readonly vacant?: true;
  readonly endsAt: Date;
  readonly nonces: readonly string[];
}

/** A user's fence. */
export interface StoredFence {
  readonly _id: FenceId;
  readonly v: 1;
  readonly fence?: Date;
  /** The server's clock at the last `revokeUser`. */
  readonly setAt?: Date;
  /** A nonce: a transaction that binds writes it, so that it conflicts with a `revokeUser` meanwhile. */
  readonly boundBy?: string;
  readonly endsAt: Date;
}

export type Stored = StoredSession | StoredTombstone | StoredFence;

export interface FenceId {
  readonly user: string;
}

/** Not a string, so no session has it. A digest, because some servers limit the length of `_id` (FerretDB 2.7). */
export function fenceId(userId: string): FenceId {
  return { user: createHash("sha256").update(userId).digest("base64url") };
}

/** Which session a document says it is, and whose. */
export interface Claim {
  readonly _id: string;
  readonly userId: string | undefined;
  readonly unchecked: Unchecked | undefined;
}

/** What a query asked for: sessions of these ids, or of this user, or any. */
export interface Asked {
  readonly ids?: ReadonlySet<string>;
  readonly userId?: string;
}

/**
 * @throws Fault if the value is not a document that was asked for
 */
export function claimOf(value: unknown, { ids, userId }: Asked): Claim {
  const { _id: id, userId: owner } = (value ?? {}) as Partial<Claim>;
  const isAsked =
    typeof id === "string" &&
    (ids === undefined || ids.has(id)) &&
    (userId === undefined || userId === owner);
  if (!isAsked) throw new Fault("the reply holds something other than what was asked for");
  return value as Claim;
}

/**
 * The record of a session's document.
 *
 * @throws Fault if the value is not the document of a session in this format
 */
export function toRecord(value: Document): SessionRecord {
  const { _id: id, userId = null, authenticatedAt = null, data, version, idle } = value as StoredSession;
  const record = {
    id,
    userId,
    authenticatedAt: authenticatedAt === null ? null : millisecondsOf(authenticatedAt),
    data,
    version,
    createdAt: millisecondsOf(value["createdAt"]),
    touchedAt: millisecondsOf(value["touchedAt"]),
    idle,
    expiresAt: millisecondsOf(value["expiresAt"]),
    endsAt: millisecondsOf(value["endsAt"]),
  };
  const isSession =
    value["v"] === 1 &&
    (userId === null) === (authenticatedAt === null) &&
    typeof data === "string" &&
    typeof version === "number" &&
    typeof idle === "number";
  if (!isSession) throw notASession();
  return record;
}

function millisecondsOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  throw notASession();
}

function notASession(): Fault {
  return new Fault(
    "a document in the collection is not a session in the format of this version: give sessions a collection of their own",
  );
}
