import type { Context } from "./context.ts";
import type { DataChange } from "./data-change.ts";
import type { Draft } from "./draft.ts";
import { publish, publishFenced, publishRevoked } from "./events.ts";
import { warnOnce } from "./store/warning.ts";
import type { StoredSession } from "./envelope.ts";
import { warnOfUnknownUser } from "./unknown-user.ts";
import { userIdIn } from "./user.ts";
import type { Outcome } from "./writes.ts";

/** A change of a session's data, with what its caller saw. */
export interface Save<Data extends object> {
  /** The session that the caller saw. The save applies to its user and secret. */
  readonly session: StoredSession;
  /** What the caller changed, or a function of the stored data. Applied again after a conflict. */
  readonly change: DataChange<Data> | ((draft: Draft<Data>) => void);
  /** When the caller's request began, by the store's clock: dates a login by the data. */
  readonly since: number;
  /** A new idle timeout, milliseconds. Absent: unchanged. */
  readonly idle?: number | undefined;
  /** `false`: the save is not a use. */
  readonly touch?: boolean | undefined;
  /** The request has replaced the secret, so a login by the data restarts the lifetime. */
  readonly hasNewSecret?: boolean;
}

/** `null`: the session is dead, or has another user or secret. */
export type Saved = StoredSession | null;

/**
 * Changes the data of a session, and its user if the data name another one than before.
 *
 * If the session has another user or secret than the caller saw, the save is late and is dropped. But a
 * logout is never late: a save that takes the user away ends that user's session.
 */
export async function save<Data extends object>(ctx: Context<Data>, wish: Save<Data>): Promise<Saved> {
  const { session, change, since, idle, touch = true } = wish;
  const { id, userId } = session.record;
  const isFunction = typeof change === "function";
  /** The session's user after the change. */
  let after = userId;
  const outcome = await ctx.writes.write(session, {
    apply(draft) {
      after = userId;
      if (draft.head.digest !== session.head.digest || draft.userId !== userId) {
        const isStillTheirs = userId !== null && draft.userId === userId;
        return isStillTheirs && !isFunction && takesUserAway(ctx, change) ? "end" : "dropped";
      }
      if (!isFunction) draft.adopt(change);
      const before = draft.userInData();
      if (isFunction) change(draft);
      else draft.merge(change);
      const named = draft.userInData();
      if (before !== named && named !== userId) {
        after = named;
        if (named === null) {
          draft.userId = null;
          draft.head = { ...draft.head, isLeft: true };
        } else if (userId === null) {
          draft.bind(named, since);
          if (wish.hasNewSecret === true) draft.restart({});
        } else return "end";
      }
      if (draft.userId === null) warnOfUnknownUser(ctx.policy, draft.data());
      if (idle !== undefined) draft.idle = idle;
      draft.isUse ||= touch;
      return "applied";
    },
  });
  if (outcome.state !== "ended") return concluded(ctx, session, outcome, after);
  const isTaken = after !== userId;
  if (outcome.wasAlive) publishRevoked({ id, userId, why: isTaken ? "user-changed" : "logout" });
  if (isTaken) {
    warnOnce(
      "TENURE_USER_CHANGED",
      "a save changed the session's user to another one, so the session was ended: log the other user in with logIn",
    );
  }
  return null;
}

/** Whether the data named a user before the change, and name none after it. */
export function takesUserAway<Data extends object>(
  { policy }: Context<Data>,
  change: DataChange<Data>,
): boolean {
  const namesUser = (data: Data | null): boolean => data !== null && userIdIn(policy.userId(data)) !== null;
  return namesUser(change.baseData()) && !namesUser(change.wantedData());
}

/** The request's save after a framework's `regenerate`. */
export interface HiddenSave extends Pick<Save<never>, "session" | "since" | "idle"> {
  readonly wanted: string;
}

/**
 * Shows a hidden session again, with the request's data and the user that they name, if any. Another user
 * than the session's is a login, and restarts the lifetime.
 */
export async function showAgain<Data extends object>(ctx: Context<Data>, change: HiddenSave): Promise<Saved> {
  const { session, wanted, since, idle } = change;
  let after: string | null = null;
  const outcome = await ctx.writes.write(session, {
    apply(draft) {
      const { head } = draft;
      if (head.digest !== session.head.digest || !head.isHidden) return "dropped";
      draft.replaceData(wanted);
      draft.head = { ...head, isHidden: false };
      draft.idle = idle ?? head.idle;
      draft.isUse = true;
      after = draft.userInData();
      if (after === null) draft.userId = null;
      else if (after !== draft.userId) {
        draft.bind(after, since);
        draft.restart({ shorterIdle: idle });
      }
      return "applied";
    },
  });
  return concluded(ctx, session, outcome, after);
}

/**
 * Publishes the result of a save, and applies the cap to a login.
 *
 * @param after the session's user after the save
 */
async function concluded<Data extends object>(
  ctx: Context<Data>,
  { record }: StoredSession,
  outcome: Outcome,
  after: string | null,
): Promise<Saved> {
  const { id, userId } = record;
  const login = after === userId ? null : after;
  if (outcome.state === "stored") {
    if (after === null && userId !== null) publish("unbound", { id, userId });
    // Of concurrent logins, the cap ends those that authenticated first, even this one.
    const refused = login === null ? null : await ctx.cap.admit(login, id, "end-oldest");
    return refused === null ? outcome.stored : null;
  }
  // Without a login, the store has refused one that waited together with this save.
  if (outcome.state === "fenced" && login !== null) publishFenced(record, login);
  else publish("late-save-dropped", { id, userId });
  return null;
}
