import type { SessionRecord, StoreOperation } from "@tenure/core";
import type { RedisClient } from "./client.ts";
import { INDEX_ADD, INDEX_DOUBT } from "./scripts.ts";
import type { Run, Sending } from "./sending.ts";
import { byCursor, twice } from "./walk.ts";

/**
 * Which sessions a user may have: a superset, never less. It is written before a session is created or bound, and what reads
 * it looks at each session; so a crash between the two writes leaves an id too many, which reaches nothing.
 *
 * `user` is an encoded user id throughout (record.ts).
 */
export interface UserIndex {
  /** Resolves once the index holds the id, until the session's end at least. Answers a few ids to look after. */
  add(operation: StoreOperation, user: string, id: string, life: Life): Promise<IndexEntry[]>;
  /** The ids in pages of some hundreds, each once. What is there throughout is among them. */
  pages(operation: StoreOperation, user: string): AsyncIterable<IndexEntry[]>;
  /**
   * Ids under which this user has no live session just now, be it that it has ended: a failover may bring it back. In the
   * background, and may fail.
   */
  doubt(user: string, ids: readonly string[]): void;
  /** Ids that were doubted, and whose session is alive. In the background, and may fail. */
  restore(user: string, sessions: readonly SessionRecord[]): void;
}

/** When the session ends: known, or to be told by the clock of the index. */
export type Life =
  | { readonly endsAt: number }
  | { readonly createdAt: number | undefined; readonly lifetime: number };

export interface IndexEntry {
  readonly id: string;
  /** It was once found without a live session of this user. */
  readonly doubted: boolean;
}

/**
 * @param write runs what must last
 */
export function userIndex(
  client: RedisClient,
  { send, run }: Sending,
  write: Run,
  prefix: string,
): UserIndex {
  const key = (user: string): string => `${prefix}u:${user}`;

  return {
    async add(operation, user, id, life) {
      return entriesOf(await write(operation, INDEX_ADD, key(user), addition(id, life)));
    },

    async *pages(operation, user) {
      const from = key(user);
      const walk = () =>
        byCursor((cursor) => send(operation, () => client.zscan(from, cursor, "COUNT", PAGE)));
      const seen = new Set<string>();
      for await (const found of twice(walk)) {
        const entries = entriesOf(found).filter(({ id }) => !seen.has(id));
        for (const { id } of entries) seen.add(id);
        if (entries.length > 0) yield entries;
      }
    },

    doubt(user, ids) {
      for (const some of pagesOf(ids)) {
        run("listUser", INDEX_DOUBT, key(user), [PATIENCE, ...some]).catch(leaveIt);
      }
    },

    restore(user, sessions) {
      for (const { id, endsAt } of sessions) {
        run("listUser", INDEX_ADD, key(user), addition(id, { endsAt })).catch(leaveIt);
      }
    },
  };
}

/** The arguments of INDEX_ADD. */
function addition(id: string, life: Life): string[] {
  const given = "endsAt" in life ? undefined : life;
  const endsAt = "endsAt" in life ? String(life.endsAt) : "";
  const createdAt = given?.createdAt === undefined ? "" : String(given.createdAt);
  return [id, endsAt, createdAt, given === undefined ? "" : String(given.lifetime), ALLOWANCE, PATIENCE];
}

/** Ids and their scores in turn. */
function entriesOf(answer: unknown): IndexEntry[] {
  const found: readonly unknown[] = Array.isArray(answer) ? answer : [];
  const entries: IndexEntry[] = [];
  for (let i = 0; i + 1 < found.length; i += 2) {
    entries.push({ id: String(found[i]), doubted: Number(found[i + 1]) < 0 });
  }
  return entries;
}

/** So many ids in one command: some 0.2 ms of the server's time. */
const PAGE = 200;
/** Milliseconds. In a cluster, an index and its sessions live by the clocks of different servers. */
const ALLOWANCE = String(60 * 60 * 1000);
/** Milliseconds: longer than any create or binding is under way, which is twice the longest `timeout`. */
const PATIENCE = String(10 * 60 * 1000);

function* pagesOf(ids: readonly string[]): Iterable<readonly string[]> {
  for (let from = 0; from < ids.length; from += PAGE) yield ids.slice(from, from + PAGE);
}

/** Tidying: what stays is found again by the next call that reads the index. */
function leaveIt(): void {}
