import type { Context } from "./context.ts";
import type { PreviousToken } from "./envelope.ts";
import { publish } from "./events.ts";
import { timeoutsOf } from "./session.ts";
import type { SessionRecord } from "./store.ts";
import { openRecord, type StoredSession } from "./stored.ts";
import { digestOf, idOf, isSameDigest, isToken } from "./token.ts";

/** What a token stands for. */
export type Look =
  | { readonly state: "live"; readonly stored: StoredSession }
  /** The session goes on, and another request has its new token. */
  | {
      readonly state: "superseded";
      readonly stored: StoredSession;
      readonly previous: PreviousToken;
      readonly isRecent: boolean;
    }
  /** Between a framework's `regenerate` and the request's save. */
  | { readonly state: "hidden"; readonly stored: StoredSession }
  /** No format of this version. Whether the token is right cannot be known. */
  | { readonly state: "unreadable"; readonly record: SessionRecord }
  | { readonly state: "dead" };

/** A token that was replaced this short a time ago may come from a request that was sent before the response with the new one arrived. Milliseconds. */
export const SUPERSEDED_FOR = 30_000;

/** Reads what a token stands for. Nothing is decoded before its digest matched. */
export async function look<Data extends object>(ctx: Context<Data>, token: unknown): Promise<Look> {
  if (!isToken(token)) return DEAD;
  const settling = ctx.clock.ready();
  const record = await ctx.store.read(idOf(token));
  if (!record) return DEAD;
  const stored = openRecord(record);
  if (!stored) {
    publish("unreadable", { id: record.id, userId: record.userId });
    return { state: "unreadable", record };
  }
  const digest = digestOf(token);
  const { head } = stored;
  if (isSameDigest(digest, head.digest)) {
    if (head.isHidden) return { state: "hidden", stored };
    if (settling) await settling;
    if (!isOver(ctx, stored)) return { state: "live", stored };
    publish("expired", { id: record.id, userId: record.userId });
    return DEAD;
  }
  const { previous } = head;
  if (!previous || !isSameDigest(digest, previous.digest)) return DEAD;
  const isRecent = ctx.clock.earliest() - previous.replacedAt < SUPERSEDED_FOR;
  return { state: "superseded", stored, previous, isRecent };
}

const DEAD = { state: "dead" } as const;

/** Whether a policy that was shortened since has ended the session. The store's own times are the store's business. */
export function isOver<Data extends object>(
  { policy, clock }: Context<Data>,
  stored: StoredSession,
): boolean {
  const { expiresAt } = timeoutsOf(stored, policy);
  return expiresAt < stored.record.expiresAt && clock.latest() >= expiresAt;
}
