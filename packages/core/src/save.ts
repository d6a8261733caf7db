import { whyRefused } from "./cap.ts";
import type { Context } from "./context.ts";
import type { DataChange } from "./data-change.ts";
import type { Draft } from "./draft.ts";
import { publish, publishRevoked } from "./events.ts";
import { warnOnce } from "./store/warning.ts";
import type { StoredSession } from "./envelope.ts";
import { warnOfUnknownUser } from "./unknown-user.ts";
import { userIdIn } from "./user.ts";
import type { Outcome } from "./writes.ts";

/** A change of a session's data, with what its caller knew. */
export interface Save<Data extends object> {
  /** The session that the caller saw, whose user and secret the save applies to. */
  readonly session: StoredSession;
  /** What the caller changed, or a function of the stored data. Made again if another process was faster. */
  readonly change: DataChange<Data> | ((draft: Draft<Data>) => void);
  /** When the caller's request began, store's clock: dates a login that the data make. */
  readonly since: number;
  /** A new idle timeout, milliseconds. Absent: as it is. */
  readonly idle?: number | undefined;
  /** `false`: the save is not a use. */
  readonly touch?: boolean | undefined;
  /** The request has replaced the secret before: a login by the data restarts the lifetime. */
  readonly hasNewSecret?: boolean;
}

/** `null`: the session is dead, or has another user or secret, and nothing was stored. */
export type Saved = StoredSession | null;

/**
 * Changes the data of a session, and its user where the data name another than before.
 *
 * The save applies to the user that the caller saw and to the secret that it came with. Otherwise it is late and is dropped, unless it
 * takes the user away: a logout is never late, and ends the session.
 */
export async function save<Data extends object>(ctx: Context<Data>, wish: Save<Data>): Promise<Saved> {
  const { session, change, since, idle, touch = true } = wish;
  const isFunction = typeof change === "function";
  let login: string | null = null;
  let lost: string | null = null;
  let isTaken = false;
  const outcome = await ctx.writes.write(session, {
    apply(draft) {
      [login, lost, isTaken] = [null, null, false];
      if (draft.head.digest !== session.head.digest || draft.userId !== session.record.userId) {
        const isStillTheirs = session.record.userId !== null && draft.userId === session.record.userId;
        return isStillTheirs && !isFunction && takesUserAway(ctx, change) ? "end" : "dropped";
      }
      if (!isFunction) draft.adopt(change);
      const before = draft.userInData();
      if (isFunction) change(draft);
      else draft.merge(change);
      const after = draft.userInData();
      if (before !== after && after !== draft.userId) {
        if (after === null) {
          lost = draft.userId;
          draft.userId = null;
          draft.head = { ...draft.head, isLeft: true };
        } else if (draft.userId === null) {
          login = after;
          draft.userId = after;
          draft.authenticatedAt = since;
          if (wish.hasNewSecret === true) draft.restart({});
        } else {
          isTaken = true;
          return "end";
        }
      }
      if (draft.userId === null) warnOfUnknownUser(ctx.policy, draft.data());
      if (idle !== undefined) draft.idle = idle;
      draft.isUse ||= touch;
      return "applied";
    },
  });
  if (outcome.state !== "ended") return concluded(ctx, session, outcome, login, lost);
  const { id, userId } = session.record;
  if (outcome.wasAlive) publishRevoked({ id, userId, why: isTaken ? "user-changed" : "logout" });
  if (isTaken) {
    warnOnce(
      "TENURE_USER_CHANGED",
      "a save replaced the session's user by another, and the session was ended: log the other user in with logIn",
    );
  }
  return null;
}

/** Whether the data named a user for the caller, and name nobody any more. */
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
 * Shows a hidden session again, with the request's data. Its user is who the data name, nobody included; a user who was not the session's
 * has logged in, and the lifetime restarts.
 */
export async function showAgain<Data extends object>(ctx: Context<Data>, change: HiddenSave): Promise<Saved> {
  const { session, wanted, since, idle } = change;
  let login: string | null = null;
  let lost: string | null = null;
  const outcome = await ctx.writes.write(session, {
    apply(draft) {
      [login, lost] = [null, null];
      const { head } = draft;
      if (head.digest !== session.head.digest || !head.isHidden) return "dropped";
      draft.replaceData(wanted);
      const userId = draft.userInData();
      draft.head = { ...head, isHidden: false };
      draft.idle = idle ?? head.idle;
      draft.isUse = true;
      if (userId === draft.userId) return "applied";
      if (userId === null) lost = draft.userId;
      else {
        login = userId;
        draft.authenticatedAt = since;
        draft.restart({ shorterIdle: idle });
      }
      draft.userId = userId;
      return "applied";
    },
  });
  return concluded(ctx, session, outcome, login, lost);
}

/**
 * Publishes what a save came to.
 *
 * @param login the user who logged in by it
 * @param lost the user whose session it was until then
 */
async function concluded<Data extends object>(
  ctx: Context<Data>,
  { record: { id, userId } }: StoredSession,
  outcome: Outcome,
  login: string | null,
  lost: string | null,
): Promise<Saved> {
  if (outcome.state === "stored") {
    if (lost !== null) publish("unbound", { id, userId: lost });
    return login === null ? outcome.stored : admitted(ctx, outcome.stored, login);
  }
  if (outcome.state === "fenced") refused(id, userId, login);
  else publish("late-save-dropped", { id, userId });
  return null;
}

/** Publishes what a refused login did to a session. */
export function refused(id: string, owner: string | null, userId: string | null): void {
  publish("login-refused", { id, userId, why: "logged-out-meanwhile" });
  publishRevoked({ id, userId: owner, why: "fenced" });
}

/** A session once the cap has admitted its login. `null`: the cap has ended it. */
export async function admitted<Data extends object>(
  ctx: Context<Data>,
  stored: StoredSession,
  userId: string,
): Promise<Saved> {
  const { id } = stored.record;
  // Of concurrent logins those that authenticated first go, also if it is this one.
  const admission = await ctx.cap.admit(userId, id, "end-oldest");
  if (admission === "stays") {
    publish("logged-in", { id, userId });
    return stored;
  }
  publish("login-refused", { id, userId, why: whyRefused(admission) });
  return null;
}
