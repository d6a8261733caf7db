import type { Context } from "./context.ts";
import type { Envelopes, PreviousToken, StoredSession } from "./envelope.ts";
import { publish } from "./events.ts";
import type { SessionRecord } from "./store.ts";
import { isOver } from "./timeouts.ts";
import { digestOf, idOf, isToken } from "./token.ts";

/** What a token stands for. */
export type Look =
  | Live
  /** The session is alive, and another request has its new token. */
  | {
      readonly state: "superseded";
      readonly stored: StoredSession;
      readonly previous: PreviousToken;
      readonly isRecent: boolean;
    }
  /** The record cannot be read, so the token may or may not be right. */
  | { readonly state: "unreadable"; readonly record: SessionRecord }
  | { readonly state: "dead" };

/** A class for the reason given at `StoredSession`. */
export class Live {
  readonly state = "live";
  readonly stored: StoredSession;

  constructor(stored: StoredSession) {
    this.stored = stored;
  }
}

/**
 * Milliseconds. For this long, a superseded token may come from a request sent before the new token arrived.
 */
const SUPERSEDED_FOR = 30_000;

/**
 * Looks up what a token stands for. Decrypts and decodes nothing before the digest has matched.
 *
 * @throws StoreError if the session's key is missing
 */
export async function look<Data extends object>(ctx: Context<Data>, token: unknown): Promise<Look> {
  if (!isToken(token)) return DEAD;
  const settling = ctx.clock.ready();
  const record = await ctx.store.read(idOf(token));
  if (!record) return DEAD;
  const { envelopes } = ctx;
  const sealed = envelopes.read(record);
  if (!sealed) return unreadable(record, null);
  const match = envelopes.tokenOf(sealed, digestOf(token));
  if (match === null) return DEAD;
  const stored = envelopes.open(sealed);
  if (!stored) return unreadable(record, sealed.keyId);
  if (match !== "current") return superseded(ctx, stored, match);
  // Between a framework's `regenerate` and the request's save.
  if (stored.head.isHidden) return DEAD;
  if (settling) await settling;
  if (!isOver(ctx, stored)) return new Live(stored);
  publish("expired", { id: record.id, userId: record.userId });
  return DEAD;
}

/**
 * Returns whether a token may log out of the session with its id. `"planted"`: it was an anonymous visitor's
 * or another user's and has been replaced, so somebody else may have planted it. `"wrong"`: it is not a token
 * of the session. If the record cannot be read or its key is missing, the token may log out.
 */
export function logoutWith(
  envelopes: Envelopes,
  record: SessionRecord,
  token: string,
): "allowed" | "planted" | "wrong" {
  const sealed = envelopes.read(record);
  if (!sealed) return "allowed";
  try {
    const match = envelopes.tokenOf(sealed, digestOf(token));
    if (match === null) return "wrong";
    return match === "current" || match.wasUsers ? "allowed" : "planted";
  } catch {
    return "allowed";
  }
}

function superseded<Data extends object>(
  { clock }: Context<Data>,
  stored: StoredSession,
  previous: PreviousToken,
): Look {
  const isRecent = clock.earliest() - previous.replacedAt < SUPERSEDED_FOR;
  const { id, userId } = stored.record;
  if (!isRecent) publish("superseded-token-used", { id, userId });
  return { state: "superseded", stored, previous, isRecent };
}

function unreadable(record: SessionRecord, keyId: string | null): Look {
  publish("unreadable", { id: record.id, userId: record.userId, keyId });
  return { state: "unreadable", record };
}

export const DEAD = { state: "dead" } as const;
