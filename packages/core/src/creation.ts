import type { LoginRefusal } from "./cap.ts";
import type { Context } from "./context.ts";
import { publish } from "./events.ts";
import { StoredSession } from "./envelope.ts";
import { type GivenTimeouts, headTimeouts } from "./timeouts.ts";
import { digestOf, idOf } from "./token.ts";
import { warnOfUnknownUser } from "./unknown-user.ts";

export interface Creation extends GivenTimeouts {
  readonly userId: string | null;
  /** When the login began. `undefined`: there is no user. */
  readonly since: number | undefined;
}

/** Creates a session. With a user this is a login, to which the cap applies. Returns as {@link createUnder}. */
export async function create<Data extends object>(
  ctx: Context<Data>,
  token: string,
  data: Data,
  creation: Creation,
): Promise<StoredSession | "taken" | LoginRefusal> {
  const { userId } = creation;
  const created = await createUnder(ctx, token, data, creation);
  if (created === "fenced") return "logged-out-meanwhile";
  if (created === "taken" || userId === null) return created;
  return (await ctx.cap.admit(userId, created.record.id, "end-oldest")) ?? created;
}

/**
 * Stores a new session under a token. Publishes that it was created, or that its login was refused.
 *
 * @returns `"taken"`: a session with this token is alive or was revoked. `"fenced"`: the user was logged out
 *   everywhere after the login began
 */
export async function createUnder<Data extends object>(
  { policy, store, envelopes, encoding, clock }: Context<Data>,
  token: string,
  data: Data,
  creation: Creation,
): Promise<StoredSession | "taken" | "fenced"> {
  const id = idOf(token);
  const { userId, since } = creation;
  const payload = encoding.encode(data, { id, userId: null });
  if (userId === null) warnOfUnknownUser(policy, data);
  const timeouts = headTimeouts(creation, policy);
  const { idle, lifetime } = timeouts;
  const head = { ...timeouts, isHidden: false, isLeft: false, digest: digestOf(token), previous: null };
  const text = envelopes.seal({ id, userId }, head, payload);
  const login = since === undefined ? {} : { authenticatedAt: since };
  const result = await store.create({ id, userId, data: text, idle, lifetime, ...login });
  if (result === "fenced") publish("login-refused", { id: null, userId, why: "logged-out-meanwhile" });
  if (result !== "created") return result;
  publish("created", { id, userId });
  const now = Math.floor(clock.earliest());
  const endsAt = now + lifetime;
  const times = { createdAt: now, touchedAt: now, idle, expiresAt: Math.min(now + idle, endsAt), endsAt };
  const record = { id, userId, authenticatedAt: since ?? null, data: text, version: 1, ...times };
  return new StoredSession(record, head, payload);
}
