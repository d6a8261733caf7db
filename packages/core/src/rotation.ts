import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";
import type { StoredSession } from "./envelope.ts";
import { publish } from "./events.ts";
import { digestOf, newToken } from "./token.ts";
import type { Outcome } from "./writes.ts";

/** A session and its new token. */
export interface Issued {
  readonly token: string;
  readonly stored: StoredSession;
}

/** The session whose token is replaced. */
export interface Replaced {
  readonly session: StoredSession;
  /**
   * The request itself has made the session's token, and has not sent it. The browser then still has the one
   * before, which remains the previous token.
   */
  readonly isUnsent?: boolean | undefined;
}

/** Gives a session a new secret. `null`: it is dead. `"superseded"`: another request has its new token. */
export async function rotate<Data extends object>(
  ctx: Context<Data>,
  replaced: Replaced,
): Promise<Issued | "superseded" | null> {
  const { session } = replaced;
  const token = newToken(session.record.id);
  const outcome = await replaceToken(ctx, replaced, token, (draft) => hasSameUser(draft, session));
  if (outcome.state === "dropped") return "superseded";
  return outcome.state === "stored" ? { token, stored: outcome.stored } : null;
}

/**
 * Gives a session a new secret, blanks its data and hides it until the request's save. It stays bound to its
 * user, within reach of "log out everywhere" and of a logout with the old token. `null`: it is dead, or has
 * another user or secret than the request saw.
 *
 * The idle timeout is shortened, so that the session soon ends by itself if its request never saves.
 *
 * @param token a new one with the session's id
 */
export async function hide<Data extends object>(
  ctx: Context<Data>,
  replaced: Replaced,
  token: string,
): Promise<Issued | null> {
  const { session } = replaced;
  const blank = ctx.encoding.encode({}, session.record);
  const outcome = await replaceToken(ctx, replaced, token, (draft) => {
    if (!hasSameUser(draft, session)) return false;
    draft.replaceData(blank);
    draft.head = { ...draft.head, isHidden: true, idle: draft.idle };
    draft.idle = Math.min(draft.idle, HIDDEN_FOR);
    return true;
  });
  return outcome.state === "stored" ? { token, stored: outcome.stored } : null;
}

/**
 * Whether the session still has the user that the request saw. Another request may have logged that user out.
 */
function hasSameUser<Data extends object>(draft: Draft<Data>, { record }: StoredSession): boolean {
  return draft.userId === record.userId;
}

/**
 * Gives a session a new secret by one conditional update: of two concurrent calls, one wins and the other is
 * dropped. If the store fails once, one read shows whether the new secret was stored.
 *
 * @param token a new one with the session's id
 * @param change what else to change. `false`: it is too late, change nothing
 */
export async function replaceToken<Data extends object>(
  { writes, clock }: Context<Data>,
  { session, isUnsent = false }: Replaced,
  token: string,
  change: (draft: Draft<Data>) => boolean,
): Promise<Outcome> {
  const digest = digestOf(token);
  const outcome = await writes.write(session, {
    survivesFailure: true,
    apply(draft) {
      if (draft.head.digest === digest) return "applied";
      const wasUsers = draft.userId !== null;
      if (draft.head.digest !== session.head.digest || !change(draft)) return "dropped";
      const replacedAt = Math.floor(clock.earliest());
      const previous = isUnsent ? draft.head.previous : { digest: session.head.digest, wasUsers };
      draft.head = { ...draft.head, digest, previous: previous && { ...previous, replacedAt } };
      draft.isUse = true;
      return "applied";
    },
  });
  if (outcome.state === "stored") {
    const { id, userId } = outcome.stored.record;
    publish("rotated", { id, userId });
  }
  return outcome;
}

/** Milliseconds: the stores' default tombstone minimum, which is longer than any request takes. */
const HIDDEN_FOR = 60 * 60 * 1000;
