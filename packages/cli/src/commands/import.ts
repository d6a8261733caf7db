import { MAX_DURATION, parseDuration, type Duration, Sessions } from "@tenure/core";
import type { Backend } from "../backend.ts";
import type { Context, Outcome } from "../command.ts";
import type { Source, SourceSession } from "../sources/source.ts";
import { table } from "../table.ts";
import { UsageError } from "../usage-error.ts";

export interface ImportOptions {
  readonly dryRun: boolean;
  /** Absent: the session's `maxAge`, or what it has left. */
  readonly idle?: Duration | undefined;
  /** Absent: what the session has left. */
  readonly lifetime?: Duration | undefined;
  /** Where the data name the user: `account.id`. Absent: `userId`, or `passport.user`. */
  readonly userKey?: string | undefined;
  readonly minTokenBits?: number | undefined;
  /** Milliseconds, as the application has it. */
  readonly tombstoneMinimum?: number | undefined;
}

/**
 * Makes a session under the same token of each session of another store. The application must be stopped: what the other store changes meanwhile is
 * missed. A session that is there is left as it is, so an import that was interrupted can run again.
 */
export async function importFrom(
  { terminal, backend }: Context,
  source: Source,
  options: ImportOptions,
): Promise<Outcome> {
  const counts = Object.fromEntries(Object.keys(FATES).map((fate) => [fate, 0])) as Record<Fate, number>;
  let ofUsers = 0;
  {
    const take = importer(backend, options);
    using progress = terminal.progress("importing", await source.estimate());
    for await (const batch of inBatches(source.sessions())) {
      const taken = await take(batch);
      for (const { fate, hasUser } of taken) {
        counts[fate] += 1;
        if (fate === "imported" && hasUser) ofUsers += 1;
      }
      progress.add(batch.length);
    }
  }
  const rows = (Object.keys(FATES) as Fate[])
    .filter((fate) => counts[fate] > 0 || fate === "imported")
    .map((fate) => [String(counts[fate]), fate, options.dryRun ? DRY[fate] : FATES[fate]]);
  const title = `${options.dryRun ? "Dry run, nothing was stored. " : ""}${source.label} -> ${backend.label}`;
  const users = counts.imported === 0 ? [] : ["", `${ofUsers} of the imported sessions name a user.`];
  terminal.result(
    { source: source.label, store: backend.label, dryRun: options.dryRun, ofUsers, ...counts },
    [title, "", table(["sessions", "", ""], rows), ...users].join("\n"),
  );
  if (counts.imported > 0 && ofUsers === 0) {
    terminal.note(
      'None of them names a user, so "log out everywhere" cannot find them. Say where the data name the user: --user-key account.id',
    );
  }
  return LOST.some((fate) => counts[fate] > 0) ? 1 : 0;
}

const FATES = {
  imported: "now in the store",
  alreadyThere: "was in the store, and is left as it is",
  expired: "has expired",
  refused: "was revoked in the store, or its user was logged out everywhere recently",
  noEnd: "has no end: give --lifetime",
  weakId: "has a session id with too few random bits: give --min-token-bits, as to Sessions",
  unreadable: "is not JSON of a session: encrypted, or written by another serializer",
  unstorable: "cannot be stored: too large, or not a session id",
} as const;

const DRY = { ...FATES, imported: "would be in the store, unless it was revoked there" };

/** What became of a session. */
type Fate = keyof typeof FATES;

/** The users of such sessions are logged out. */
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
    store,
    idleTimeout: policyIdle,
    lifetime: policyLifetime,
    maxIdleTimeout: MAX_DURATION,
    maxLifetime: MAX_DURATION,
    ...(userKey === undefined ? {} : { userId: (data: object) => valueAt(data, userKey) }),
    ...(minTokenBits === undefined ? {} : { minTokenBits }),
  });

  return async function take(batch) {
    // When the user logged in is not known. The earliest instant that a store accepts: what asks for a recent login asks again, and
    // a user who was logged out everywhere since then stays so.
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
    if (dryRun) {
      const user: unknown = sessions.policy.userId(data);
      const hasUser = typeof user === "number" || (typeof user === "string" && user !== "");
      return { fate: (await store.read(id)) === null ? "imported" : "alreadyThere", hasUser };
    }
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

  /** What the source says is the session's own, so that a policy of the application does not end it at once. */
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

/** Sessions that are stored at the same time. */
const BATCH = 100;
