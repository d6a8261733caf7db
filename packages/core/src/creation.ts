import type { Context } from "./context.ts";
import { publish } from "./events.ts";
import { StoredSession } from "./envelope.ts";
import { type GivenTimeouts, headTimeouts } from "./timeouts.ts";
import { digestOf, idOf } from "./token.ts";
import { warnOfUnknownUser } from "./unknown-user.ts";

export interface Creation extends GivenTimeouts {
  readonly userId: string | null;
  /** When the login began, if there is a user. */
  readonly since: number | undefined;
}

export type CreationResult =
  | { readonly state: "created"; readonly stored: StoredSession }
  /** A session with this token is alive or was revoked. */
  | { readonly state: "taken" }
  /** The user was logged out everywhere after the login began. */
  | { readonly state: "fenced" };

/** Stores a new session under a token. Publishes that it was created, or that its login was refused. */
export async function createUnder<Data extends object>(
  { policy, store, envelopes, encoding, clock }: Context<Data>,
  token: string,
  data: Data,
  creation: Creation,
): Promise<CreationResult> {
  const id = idOf(token);
  const { userId, since } = creation;
  const payload = encoding.encode(data, { id, userId: null });
  if (userId === null) warnOfUnknownUser(policy, data);
  const timeouts = headTimeouts(creation, policy);
  const { idle, lifetime } = timeouts;
  const head = { ...timeouts, isHidden: false, isLeft: false, digest: digestOf(token), previous: null };
  const text = envelopes.seal({ id, userId }, head, payload);
  const login = userId === null || since === undefined ? {} : { authenticatedAt: since };
  const result = await store.create({ id, userId, data: text, idle, lifetime, ...login });
  if (result === "fenced") publish("login-refused", { id: null, userId, why: "logged-out-meanwhile" });
  if (result !== "created") return { state: result };
  publish("created", { id, userId });
  const now = Math.floor(clock.earliest());
  const endsAt = now + lifetime;
  const times = { createdAt: now, touchedAt: now, idle, expiresAt: Math.min(now + idle, endsAt), endsAt };
  const authenticatedAt = userId === null ? null : (since ?? now);
  const record = { id, userId, authenticatedAt, data: text, version: 1, ...times };
  return { state: "created", stored: new StoredSession(record, head, payload) };
}
