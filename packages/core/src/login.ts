import type { LoginRefusal } from "./cap.ts";
import type { Context } from "./context.ts";
import { createUnder } from "./creation.ts";
import type { DataChange } from "./data-change.ts";
import { endSession } from "./ending.ts";
import { publish, publishFenced } from "./events.ts";
import type { Look } from "./look.ts";
import { type Issued, type Replaced, replaceToken } from "./rotation.ts";
import type { Head, StoredSession } from "./envelope.ts";
import type { GivenTimeouts } from "./timeouts.ts";
import { newToken } from "./token.ts";
import { userIdIn } from "./user.ts";
import type { Outcome } from "./writes.ts";

/** A login with valid input. */
export interface Login<Data extends object> extends GivenTimeouts {
  readonly userId: string;
  /** An instant of the store's clock at or before the beginning of the login. */
  readonly since: number;
  readonly keep: readonly string[];
  /** The request's unsaved changes: all of its data, if its session is not stored yet. */
  readonly unsaved?: DataChange<Data> | undefined;
  readonly isUnsent?: Replaced["isUnsent"];
}

export type LoginResult = Issued | { readonly refused: LoginRefusal };

/**
 * Logs in a user who has just authenticated. An anonymous session, or one of the same user, continues in
 * place with a new secret. Another user's session, and one that a user has left, ends before a new one begins,
 * even if that is then refused.
 */
export async function logIn<Data extends object>(
  ctx: Context<Data>,
  from: Look,
  login: Login<Data>,
): Promise<LoginResult> {
  const { userId } = login;
  const own = from.state === "live" ? from.stored.record.id : null;
  if (ctx.policy.onCap === "refuse" && !(await ctx.cap.hasRoom(userId, own))) {
    publish("login-refused", { id: own, userId, why: "too-many-sessions" });
    return { refused: "too-many-sessions" };
  }
  const made = await bind(ctx, from, login);
  if (made === null) return { refused: "logged-out-meanwhile" };
  const why = await ctx.cap.admit(userId, made.stored.record.id, ctx.policy.onCap);
  return why === null ? made : { refused: why };
}

/** `null`: fenced. */
async function bind<Data extends object>(
  ctx: Context<Data>,
  from: Look,
  login: Login<Data>,
): Promise<Issued | null> {
  const { userId, unsaved } = login;
  if (from.state === "superseded") {
    const data = unsaved?.wantedData();
    // Within 30 s this is a double click, and both logins stay. Later, the new session replaces the old one.
    if (from.isRecent || from.stored.record.userId !== userId) return begin(ctx, login, data);
    return replace(ctx, from.stored, login, data);
  }
  if (from.state !== "live") return begin(ctx, login, unsaved?.wantedData());
  let { stored } = from;
  const owner = stored.record.userId;
  // Data that cannot be decoded are not overwritten.
  if (ctx.encoding.decode(stored.payload, stored.record) === null) return begin(ctx, login);
  if (!isOther(owner, stored.head, userId)) {
    const token = newToken(stored.record.id);
    const outcome = await continueInPlace(ctx, stored, token, login);
    if (outcome.state === "stored") return { token, stored: outcome.stored };
    if (outcome.state === "fenced") {
      publishFenced(stored.record, userId);
      return null;
    }
    // Another request has ended or rotated the session, or logged another user in. That user's session ends
    // below, unless this request's token was an anonymous visitor's, which may have been planted.
    if (owner === null || outcome.state !== "dropped") return begin(ctx, login);
    ({ stored } = outcome);
    if (!isOther(stored.record.userId, stored.head, userId)) return begin(ctx, login);
  }
  return replace(ctx, stored, login, kept(ctx, stored, login));
}

/** Whether a session has another user, or a user has left it. */
function isOther(owner: string | null, { isLeft }: Head, userId: string): boolean {
  return owner === null ? isLeft : owner !== userId;
}

function continueInPlace<Data extends object>(
  ctx: Context<Data>,
  session: StoredSession,
  token: string,
  login: Login<Data>,
): Promise<Outcome> {
  const { userId, since, unsaved, isUnsent } = login;
  return replaceToken(ctx, { session, isUnsent }, token, (draft) => {
    if (isOther(draft.userId, draft.head, userId)) return false;
    if (unsaved) draft.merge(unsaved);
    draft.edit((data) => withoutOtherUsers(ctx, data, userId));
    draft.restart(login);
    draft.bind(userId, since);
    return true;
  });
}

/**
 * Ends a session and begins a new one. In this order: if the store fails in between, nobody is logged in, and
 * no session is left whose token nobody has. `null`: fenced.
 */
async function replace<Data extends object>(
  ctx: Context<Data>,
  { record }: StoredSession,
  login: Login<Data>,
  data: Data | undefined,
): Promise<Issued | null> {
  await endSession(ctx.store, record, "login");
  return begin(ctx, login, data);
}

/** Begins a new session. `null`: fenced. */
async function begin<Data extends object>(
  ctx: Context<Data>,
  login: Login<Data>,
  data?: Data,
): Promise<Issued | null> {
  const token = newToken();
  const { userId } = login;
  const own = withoutOtherUsers(ctx, data ?? ({} as Data), userId);
  const created = await createUnder(ctx, token, own, login);
  return typeof created === "string" ? null : { token, stored: created };
}

/** The part of another user's data that the login takes over, with the request's unsaved changes. */
function kept<Data extends object>(ctx: Context<Data>, stored: StoredSession, login: Login<Data>): Data {
  const data = login.unsaved?.wantedData() ?? ctx.encoding.decode(stored.payload, stored.record) ?? {};
  return Object.fromEntries(Object.entries(data).filter(([key]) => login.keep.includes(key))) as Data;
}

/** Removes the keys that name another user. Returns the same object if there are none. */
function withoutOtherUsers<Data extends object>({ policy }: Context<Data>, data: Data, userId: string): Data {
  const namesOther = (some: object): boolean => {
    const named = userIdIn(policy.userId(some));
    return named !== null && named !== userId;
  };
  if (!namesOther(data)) return data;
  const others = Object.entries(data).filter((entry) => !namesOther(Object.fromEntries([entry])));
  const rest = Object.fromEntries(others);
  // Several keys together name the other user: keep nothing.
  return (namesOther(rest) ? {} : rest) as Data;
}
