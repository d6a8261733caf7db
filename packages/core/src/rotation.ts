import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";
import type { StoredSession } from "./envelope.ts";
import { publish } from "./events.ts";
import { digestOf, newToken } from "./token.ts";
import type { Outcome } from "./writes.ts";

/** A session, and the token that was made for it. */
export interface Issued {
  readonly token: string;
  readonly stored: StoredSession;
}

/** Gives a session a new secret. `null`: it is dead. `"superseded"`: it goes on, and another request has its new token. */
export async function rotate<Data extends object>(
  ctx: Context<Data>,
  session: StoredSession,
): Promise<Issued | "superseded" | null> {
  const token = newToken(session.record.id);
  const outcome = await replaceToken(ctx, session, token, (draft) => isTheirs(draft, session));
  if (outcome.state === "dropped") return "superseded";
  return outcome.state === "stored" ? { token, stored: outcome.stored } : null;
}

/**
 * Gives a session a new secret, blanks its data and hides it until the request's save. It stays bound to its user, within reach of
 * "log out everywhere" and of a logout with the old token. `null`: it is dead, or no longer as the request saw it.
 *
 * Its idle timeout is shortened, so that a request that never saves leaves nothing for long, and nothing has to run at the
 * end of a response.
 *
 * @param token a new one with the session's id
 */
export async function hide<Data extends object>(
  ctx: Context<Data>,
  session: StoredSession,
  token: string,
): Promise<Issued | null> {
  const blank = ctx.encoding.encode({}, session.record);
  const outcome = await replaceToken(ctx, session, token, (draft) => {
    if (!isTheirs(draft, session)) return false;
    draft.replaceData(blank);
    draft.head = { ...draft.head, isHidden: true, idle: draft.idle };
    draft.idle = Math.min(draft.idle, HIDDEN_FOR);
    return true;
  });
  return outcome.state === "stored" ? { token, stored: outcome.stored } : null;
}

/** A request that saw a user does not go on in a session that another one has logged out. */
function isTheirs<Data extends object>(draft: Draft<Data>, { record }: StoredSession): boolean {
  return draft.userId === record.userId;
}

/**
 * Gives a session a new secret by one conditional update, so of two concurrent ones one wins, and the other is dropped. If the store fails
 * once, one read shows whether the new token or the old one is right.
 *
 * @param token a new one with the session's id
 * @param change what else to change. `false`: nothing is to be changed, it is too late
 */
export async function replaceToken<Data extends object>(
  { writes, clock }: Context<Data>,
  session: StoredSession,
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
      draft.head = {
        ...draft.head,
        digest,
        previous: { digest: session.head.digest, replacedAt, wasUsers },
      };
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

/** Milliseconds. No request saves later than this: it is the default of the stores' tombstone minimum. */
const HIDDEN_FOR = 60 * 60 * 1000;
