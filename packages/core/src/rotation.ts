import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";
import type { Head } from "./envelope.ts";
import { publish } from "./events.ts";
import { isAsSeen } from "./save.ts";
import type { StoredSession } from "./envelope.ts";
import { digestOf, newToken } from "./token.ts";

/** A session under its new token. */
export interface Rotated {
  readonly token: string;
  readonly stored: StoredSession;
}

/**
 * Gives a session a new secret. `null`: it is dead. `"superseded"`: it goes on, and another request has its new token.
 *
 * It is one conditional update, so of two concurrent rotations one wins. If the store fails once, one read tells whether the new
 * token or the old one is right.
 */
export async function rotate<Data extends object>(
  ctx: Context<Data>,
  session: StoredSession,
): Promise<Rotated | "superseded" | null> {
  const token = newToken(session.record.id);
  const digest = digestOf(token);
  const outcome = await ctx.writes.write(session, {
    survivesFailure: true,
    apply(draft) {
      if (draft.head.digest === digest) return "applied";
      // Nor does a request that saw a user go on in a session that another one has logged out.
      if (!isAsSeen(draft, session)) return "dropped";
      draft.head = withDigest(draft, digest, ctx.clock.earliest());
      draft.isUse = true;
      return "applied";
    },
  });
  if (outcome.state === "dropped") return "superseded";
  if (outcome.state !== "stored") return null;
  publish("rotated", { id: session.record.id, userId: outcome.stored.record.userId });
  return { token, stored: outcome.stored };
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
): Promise<Rotated | null> {
  const digest = digestOf(token);
  const blank = ctx.encoding.encode({}, session.record);
  const outcome = await ctx.writes.write(session, {
    survivesFailure: true,
    apply(draft) {
      if (draft.head.digest === digest) return "applied";
      if (!isAsSeen(draft, session)) return "dropped";
      draft.replaceData(blank);
      draft.head = { ...withDigest(draft, digest, ctx.clock.earliest()), isHidden: true, idle: draft.idle };
      draft.idle = Math.min(draft.idle, HIDDEN_FOR);
      draft.isUse = true;
      return "applied";
    },
  });
  if (outcome.state !== "stored") return null;
  publish("rotated", { id: session.record.id, userId: session.record.userId });
  return { token, stored: outcome.stored };
}

/** The head with a new digest, the present one kept as the previous. */
export function withDigest<Data extends object>(draft: Draft<Data>, digest: string, now: number): Head {
  const previous = {
    digest: draft.head.digest,
    replacedAt: Math.floor(now),
    wasUsers: draft.userId !== null,
  };
  return { ...draft.head, digest, previous };
}

/** Milliseconds. No request saves later than this: it is the default of the stores' tombstone minimum. */
const HIDDEN_FOR = 60 * 60 * 1000;
