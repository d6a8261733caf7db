import type { SessionRecord } from "@tenure/core";

/** A session as it lies in the collection; the layout is at the top of `store.ts`. */
export interface StoredSession {
  readonly _id: string;
  readonly userId?: string;
  readonly data: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly touchedAt: Date;
  readonly idle: number;
  readonly expiresAt: Date;
  readonly endsAt: Date;
  readonly nonces: readonly string[];
}

/** What is left of a session that is dead: revoked, or seen after it had expired. */
export interface StoredTombstone {
  readonly _id: string;
  /** Only where `revokeUser` ended it: stands in place of the user, so that the user's index finds what it ended. */
  readonly userId?: { readonly endedBy: string };
  /** Only where `revoke` ended it. */
  readonly endedBy?: string;
  readonly endsAt: Date;
  readonly nonces: readonly string[];
}

export type Stored = StoredSession | StoredTombstone;

/** Whether it was alive when it was last written; whether it still is, only the server's clock can say. */
export function isSession(stored: Stored | null): stored is StoredSession {
  return stored !== null && "expiresAt" in stored;
}

export function toRecord({ _id: id, ...stored }: StoredSession): SessionRecord {
  return {
    id,
    userId: stored.userId ?? null,
    data: stored.data,
    version: stored.version,
    createdAt: stored.createdAt.getTime(),
    touchedAt: stored.touchedAt.getTime(),
    idle: stored.idle,
    expiresAt: stored.expiresAt.getTime(),
    endsAt: stored.endsAt.getTime(),
  };
}
