import { MAX_DURATION, parseDuration, type Duration, type SessionStore, Sessions } from "@tenure/core";
import type { Backend } from "../backend.ts";
import type { Context, Outcome } from "../command.ts";
import type { Source, SourceSession } from "../sources/source.ts";
import { table } from "../table.ts";
import { UsageError } from "../usage-error.ts";

export interface ImportOptions {
  readonly dryRun: boolean;
  /** Absent: the session's `maxAge`, or its remaining time. */
  readonly idle?: Duration | undefined;
  /** Absent: the session's remaining time. */
  readonly lifetime?: Duration | undefined;
  /** The path of the user id in the data: `account.id`. Absent: `userId`, or `passport.user`. */
  readonly userKey?: string | undefined;
  readonly minTokenBits?: number | undefined;
  /** The application's, milliseconds. */
  readonly tombstoneMinimum?: number | undefined;
}

/**
 * Copies each session of another store to Tenure's, under the same token. The application must be stopped,
 * because the import misses concurrent changes. Sessions that exist already are left unchanged, so an
 * interrupted import can run again.
 */
export async function importFrom(
  { terminal, backend }: Context,
  source: Source,
  options: ImportOptions,
): Promise<Outcome> {
  const counts = Object.fromEntries(Object.keys(FATES).map((fate) => [fate, 0])) as Record<Fate, number>;
  let ofUsers = 0;
  const take = importer(backend, options);
  await terminal.progress("importing", await source.estimate(), async (progress) => {
    for await (const batch of inBatches(source.sessions())) {
      const taken = await take(batch);
      for (const { fate, hasUser } of taken) {
        counts[fate] += 1;
        if (fate === "imported" && hasUser) ofUsers += 1;
      }
      progress.add(batch.length);
    }
  });
  const rows = (Object.keys(FATES) as Fate[])
    .filter((fate) => counts[fate] > 0 || fate === "imported")
    .map((fate) => [String(counts[fate]), fate, options.dryRun ? DRY[fate] : FATES[fate]]);
  const title = `${options.dryRun ? "Dry run, nothing was stored. " : ""}${source.label} -> ${backend.label}`;
  const users = counts.imported === 0 ? [] : ["", `Imported sessions that name a user: ${ofUsers}.`];
  terminal.result(
    { source: source.label, store: backend.label, dryRun: options.dryRun, ofUsers, ...counts },
    [title, "", table(["sessions", "", ""], rows), ...users].join("\n"),
  );
  if (counts.imported > 0 && ofUsers === 0) {
    terminal.note(
      'None of them names a user, so "log out everywhere" cannot find them. Give the path of the user id in the data: --user-key account.id',
    );
  }
  return LOST.some((fate) => counts[fate] > 0) ? 1 : 0;
}

const FATES = {
  imported: "now in the store",
  alreadyThere: "was already in the store, and is left unchanged",
  expired: "has expired",
  refused: "was revoked in the store, or its user was logged out everywhere recently",
  noEnd: "has no end: give --lifetime",
  weakId:
    "has a session id with too few random bits: give --min-token-bits, and Sessions the same minTokenBits",
  unreadable: "is not a session in JSON: encrypted, or written by another serializer",
  unstorable: "cannot be stored: too large, or not a session id",
} as const;

const DRY = { ...FATES, imported: "would be in the store, unless it was revoked there" };

type Fate = keyof typeof FATES;

/** Sessions with these fates are live in the source, and their users are logged out. */
const LOST: readonly Fate[] = ["noEnd", "weakId", "unreadable", "unstorable"];

interface Taken {
  readonly fate: Fate;
  readonly hasUser: boolean;
}

function importer(
  { store }: Backend,
  { dryRun, idle, lifetime, userKey, minTokenBits, tombstoneMinimum = 3_600_000 }: ImportOptions,
): (batch: readonly SourceSession[]) => Promise<Taken[]> {
  const policyLifetime = lifetime === undefined ? MAX_DURATION : parseDuration("--lifetime", lifetime);
  const policyIdle = idle === undefined ? policyLifetime : parseDuration("--idle", idle);
  if (policyIdle > policyLifetime) throw new UsageError("--idle must not be longer than --lifetime");
  const sessions = new Sessions<object>({
    store: dryRun ? storingNothing(store) : store,
    idleTimeout: policyIdle,
    lifetime: policyLifetime,
    maxIdleTimeout: MAX_DURATION,
    maxLifetime: MAX_DURATION,
    ...(userKey === undefined ? {} : { userId: (data: object) => valueAt(data, userKey) }),
    ...(minTokenBits === undefined ? {} : { minTokenBits }),
  });

  return async function take(batch) {
    // The time of the login is unknown. Date it near the earliest instant that a store accepts: requireRecent
    // then asks for a new login, and a user who was logged out everywhere since then stays logged out.
    const since = (await sessions.since()) - Math.floor(tombstoneMinimum * 0.9);
    return Promise.all(batch.map((session) => takeOne(session, since)));
  };

  async function takeOne({ token, data, left }: SourceSession, since: number): Promise<Taken> {
    if (data === null) return lost("unreadable");
    if (left !== null && left < 1) return lost("expired");
    if (left === null && lifetime === undefined) return lost("noEnd");
    const id = sessions.idOf(token);
    if (id === null) return lost("unstorable");
    if (isTooWeak(token)) return lost("weakId");
    try {
      const terms = termsFor(data.cookie?.originalMaxAge, left);
      const session = await sessions.createWithToken(token, data, { since, ...terms });
      if (session !== null) return { fate: "imported", hasUser: session.userId !== null };
    } catch (error) {
      if (error instanceof TypeError) return lost("unstorable");
      throw error;
    }
    return lost((await store.read(id)) === null ? "refused" : "alreadyThere");
  }

  /** Makes the source's timeouts the session's own: a shorter policy of the application does not end it. */
  function termsFor(maxAge: unknown, left: number | null): { idle?: number; lifetime?: number } {
    const remaining = left === null ? policyLifetime : Math.max(1, Math.min(Math.floor(left), MAX_DURATION));
    const ownLifetime = lifetime === undefined ? remaining : policyLifetime;
    const wanted = typeof maxAge === "number" && maxAge >= 1 ? Math.floor(maxAge) : remaining;
    return {
      ...(idle === undefined ? { idle: Math.min(wanted, ownLifetime) } : {}),
      ...(lifetime === undefined ? { lifetime: ownLifetime } : {}),
    };
  }

  function isTooWeak(token: string): boolean {
    try {
      sessions.assertStrong(token);
      return false;
    } catch {
      return true;
    }
  }
}

/** Returns a store that reads from `store`. Its `create` stores nothing, and does not detect a revoked session. */
function storingNothing(store: SessionStore): SessionStore {
  return {
    ...store,
    create: async ({ id }) => ((await store.read(id)) === null ? "created" : "taken"),
  };
}

function lost(fate: Fate): Taken {
  return { fate, hasUser: false };
}

function valueAt(data: object, path: string): unknown {
  let value: unknown = data;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

async function* inBatches(sessions: AsyncIterable<SourceSession>): AsyncIterable<SourceSession[]> {
  let batch: SourceSession[] = [];
  for await (const session of sessions) {
    batch.push(session);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** How many sessions are stored concurrently. */
const BATCH = 100;
