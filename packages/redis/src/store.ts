import {
  type CreateResult,
  type SessionChanges,
  type SessionRecord,
  type SessionStore,
  StoreError,
  type StoreOperation,
  type UpdateResult,
} from "@tenure/core";
import {
  assertChanges,
  assertNewSession,
  assertRevokeUser,
  assertWellFormed,
  canBeStored,
  isTouch,
  monotonic,
  orError,
  scanPages,
} from "@tenure/core/store";
import type { Send } from "./client.ts";
import { commandsOver, foreignValue, notAReply } from "./commands.ts";
import { warnOfEviction } from "./eviction.ts";
import { decodeRecord, encodeText, MAX_CHARACTERS } from "./layout.ts";
import { type RedisStoreOptions, settingsFrom } from "./options.ts";
import { type RedisClient, storeClient } from "./recognise.ts";
import { confirmedByReplicas } from "./replicas.ts";
import { Code, CREATE, END, REVOKE, TOUCH, UPDATE } from "./scripts.ts";
import { serverClock } from "./server-clock.ts";
import { type Entry, type Page, type SessionEnd, userIndex } from "./user-index.ts";

/**
 * Stores sessions in Redis ≥ 7 or Valkey ≥ 7.2: standalone, behind Sentinel or in a Cluster.
 *
 * ```
 * tenure:s:<id>     a session, its tombstone, or marks (layout.ts)     the session's key decides every write
 * tenure:u:<user>   the ids of a user's sessions, and the user's fence (user-index.ts)
 * ```
 * No two keys need to be in one slot. Calls that write two keys write them in this order:
 *
 * - **`create` with a user, and an `update` that binds: the index, then the session.** The script on the
 *   index adds the id and reports the fence. The script on the session compares the login with it, and
 *   decides.
 * - **`revokeUser`: the index, then the sessions.** The script on the index sets the fence and reads the ids.
 *   Scripts on those keys end the sessions, and leave the fence as a *mark* in every other value, present or
 *   absent.
 *
 * So a login cannot escape a `revokeUser` that overlaps it. Either its first script runs after the fence is
 * set and reports it, or its id is on a page. In that case its second script finds the mark, or it ran
 * earlier and the session is ended.
 *
 * A crash between the two writes of a login leaves an index entry without a session, which is skipped and
 * later removed. A crash within `revokeUser` leaves the fence and some live sessions; the call has not
 * resolved. Every script has a deadline by the server's clock, so none of these writes happens after its
 * caller has given up. Marks and index entries last longer than that.
 *
 * @throws TypeError for an invalid option, and for a client that is unknown, is not connected or reads from
 *   replicas
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): SessionStore {
  const redis = storeClient(client);
  const settings = settingsFrom(options, redis.commandTimeout);
  const { prefix, timeout, waitForReplicas } = settings;
  const clock = serverClock();
  const commands = commandsOver(redis, {
    timeout,
    clock,
    runDurably: waitForReplicas && confirmedByReplicas(redis, waitForReplicas),
    onFirstReply: () => void warnOfEviction(redis),
  });
  const index = userIndex(commands, prefix, settings.tombstoneMinimum);
  const idAt = Buffer.byteLength(`${redis.keyPrefix}${prefix}s:`) + 1;
  const shared = [String(idAt), String(settings.tombstoneMinimum)];
  const call = {
    create: commands.script("create", CREATE, { shared, isDurable: true }),
    read: commands.read("read"),
    touch: commands.script("update", TOUCH, { shared }),
    update: commands.script("update", UPDATE, { shared }),
    revoke: commands.script("revoke", REVOKE, { shared, isDurable: true }),
    listUser: commands.read("listUser"),
    scan: commands.read("scan"),
  };

  return {
    async create(session) {
      assertNewSession(session);
      const { userId, data, idle, lifetime, authenticatedAt } = session;
      assertWellFormed({ id: session.id, userId, data });
      const id = encodeText(session.id);
      const startedAt = monotonic();
      let [user, fence] = ["", -1];
      if (userId !== null) {
        user = encodeText(userId);
        fence = await addToIndex("create", user, id, { lifetime });
      }
      const args = [
        String(idle),
        String(lifetime),
        userId === null ? "" : `=${user}`,
        textOf(authenticatedAt),
        String(fence),
        data,
      ];
      return resultOf("create", await call.create(key(id), args, startedAt), CREATED);
    },

    async read(id) {
      if (!canBeHere("id", id)) return null;
      const encoded = encodeText(id);
      return recordOf("read", encoded, await call.read(key(encoded)));
    },

    async update(id, changes) {
      assertChanges(changes);
      if (!canBeHere("id", id)) return "gone";
      if (isTouch(changes)) return resultOf("update", await call.touch(key(encodeText(id)), []), UPDATED);
      assertWellFormed({ data: changes.data, userId: changes.userId });
      return await update(encodeText(id), changes);
    },

    async revoke(id) {
      if (!canBeHere("id", id)) return false;
      return resultOf("revoke", await call.revoke(key(encodeText(id)), []), REVOKED);
    },

    async revokeUser(userId, revokeOptions = {}) {
      assertRevokeUser(userId, revokeOptions);
      if (!canBeHere("userId", userId)) return 0;
      const { except, authenticatedUpTo } = revokeOptions;
      const user = encodeText(userId);
      const kept = except !== undefined && canBeHere("except", except) ? encodeText(except) : undefined;
      const fenced = await index.fence(user, authenticatedUpTo);
      const indexNode = redis.nodeOf(index.keyOf(user));
      const end = commands.script("revokeUser", END, {
        shared: [...shared, user, String(fenced.instant), String(fenced.fence)],
        isDurable: true,
      });
      const flagsOf = ({ id, isSettled }: Entry): string => {
        const keep = id === kept ? "k" : "";
        const mark = isSettled ? "" : "m";
        // Another server of a Cluster compares with its own clock, so that skew spares no existing session.
        const upToNow = authenticatedUpTo === undefined && redis.nodeOf(key(id)) !== indexNode ? "n" : "";
        return keep + mark + upToNow;
      };
      let count = 0;
      let isForeign = false;
      for (let page: Page = fenced; ; page = await index.page("revokeUser", user, page.next)) {
        const codes = await endPage(user, page, (entry) => end(key(entry.id), [flagsOf(entry)]));
        count += codes.filter((code) => code === Code.DONE).length;
        isForeign ||= codes.includes(Code.FOREIGN);
        if (page.next === undefined) break;
      }
      if (isForeign) throw foreignValue("revokeUser");
      if (!(await clock.waitUntilPast(indexNode, fenced.instant, timeout))) {
        throw new StoreError(
          "revokeUser",
          "the sessions have ended, but Redis's clock was set back to before an earlier revokeUser: call again once it has caught up",
        );
      }
      // Last, so that sessions end even while replicas are missing.
      if (waitForReplicas) await index.fenceDurably(user, fenced.instant);
      return count;
    },

    async listUser(userId) {
      if (!canBeHere("userId", userId)) return [];
      const user = encodeText(userId);
      const records = new Map<string, SessionRecord>();
      let after: string | undefined = "0";
      while (after !== undefined) {
        const page = await index.page("listUser", user, after);
        for (const record of await liveOf(user, page.entries)) records.set(record.id, record);
        after = page.next;
      }
      return [...records.values()].toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async *scan() {
      const primaries = await commands.send("scan", () => redis.primaries());
      // SCAN may return an id twice.
      const seen = new Set<string>();
      yield* scanPages({ primary: 0, cursor: "0" }, async ({ primary, cursor }) => {
        const { ids, next } = await idsOn(primaries[primary]!, cursor);
        const found = ids.filter((id) => !seen.has(id));
        for (const id of found) seen.add(id);
        const values = await Promise.all(found.map((id) => call.scan(key(id))));
        const records = found.map((id, at) => orError(() => recordOf("scan", id, values[at])));
        const place = next === "0" ? { primary: primary + 1, cursor: "0" } : { primary, cursor: next };
        return {
          records: records.filter((record) => record !== null),
          next: place.primary < primaries.length ? place : undefined,
        };
      });
    },

    async now() {
      const reply = await commands.send("now", () => redis.time());
      const [seconds, microseconds] = Array.isArray(reply) ? reply : [];
      const now = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
      if (!Number.isSafeInteger(now))
        throw new StoreError("now", "Redis returned an unexpected reply to TIME");
      return now;
    },
  };

  function key(id: string): string {
    return `${prefix}s:${id}`;
  }

  /** Resolves to a page of the ids that have a key on a primary. `next` is "0" on the last page. */
  function idsOn(primary: Send, cursor: string): Promise<{ ids: readonly string[]; next: string }> {
    const beginning = redis.keyPrefix + key("");
    const pattern = `${beginning.replaceAll(/[[\]*?^\\]/g, String.raw`\$&`)}*`;
    return commands.send("scan", async () => {
      const reply = await primary("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED);
      const [next, keys] = reply as readonly [cursor: unknown, keys: readonly string[]];
      return { ids: keys.map((one) => one.slice(beginning.length)), next: String(next) };
    });
  }

  /** A login gives a user and a lifetime: two scripts. Other changes that need the index take three. */
  async function update(id: string, changes: SessionChanges): Promise<UpdateResult> {
    const { data, userId, idle, lifetime, authenticatedAt, touch, ifVersion } = changes;
    const given = typeof userId === "string" ? encodeText(userId) : undefined;
    const flags = (touch === false ? "" : "t") + (data === undefined ? "" : "d");
    const user = given === undefined ? (userId === null ? "-" : "") : `=${given}`;
    const terms = [textOf(idle), textOf(lifetime), user, textOf(authenticatedAt)];
    let indexed = ["", "", ""];
    let startedAt = monotonic();
    if (given !== undefined && lifetime !== undefined) await indexFor(given, { lifetime });
    for (let attempts = 0; attempts < 3; attempts += 1) {
      const all = [...terms, ...indexed];
      const args = [
        flags,
        textOf(ifVersion),
        all.every((one) => one === "") ? "" : all.map((one) => `${one} `).join(""),
        data ?? "",
      ];
      const result = await call.update(key(id), args, startedAt);
      if (!Array.isArray(result)) return resultOf("update", result, UPDATED);
      const [endsAt, itsUser] = result as readonly unknown[];
      startedAt = monotonic();
      await indexFor(String(itsUser), lifetime === undefined ? { endsAt: Number(endsAt) } : { lifetime });
    }
    throw new StoreError(
      "update",
      "concurrent updates kept changing the user or the end of the session: call again",
    );

    async function indexFor(whose: string, end: SessionEnd): Promise<void> {
      const fence = await addToIndex("update", whose, id, end);
      indexed = [`=${whose}`, String(fence), "endsAt" in end ? String(end.endsAt) : ""];
    }
  }

  /** Ends the sessions of a page, and removes entries without one. Resolves to a code for each entry. */
  async function endPage(
    user: string,
    { entries }: Page,
    end: (entry: Entry) => Promise<unknown>,
  ): Promise<readonly number[]> {
    const codes = (await Promise.all(entries.map(end))).map(Number);
    index.remove(
      user,
      entries.filter(
        ({ isSettled }, at) => codes[at] === Code.DONE || (isSettled && codes[at] === Code.NOTHING),
      ),
    );
    return codes;
  }

  /** @returns the user's fence */
  async function addToIndex(
    operation: "create" | "update",
    user: string,
    id: string,
    end: SessionEnd,
  ): Promise<number> {
    const { fence, sample } = await index.add(operation, user, id, end);
    // May fail: the next addition takes another sample.
    if (sample.length > 0) void liveOf(user, sample).catch(() => undefined);
    return fence;
  }

  /** Resolves to the user's live sessions among index entries. Removes entries without one. */
  async function liveOf(user: string, entries: readonly Entry[]): Promise<SessionRecord[]> {
    const values = await Promise.all(entries.map(({ id }) => call.listUser(key(id))));
    const found = entries.map(({ id }, at) => {
      const record = recordOf("listUser", id, values[at]);
      return record !== null && record.userId !== null && encodeText(record.userId) === user ? record : null;
    });
    index.remove(
      user,
      entries.filter(({ isSettled }, at) => isSettled && found[at] === null),
    );
    return found.filter((record) => record !== null);
  }
}

/** Whether a session with this id or user can exist. */
function canBeHere(name: string, text: string): boolean {
  return canBeStored(name, text) && text.length <= MAX_CHARACTERS;
}

/** Keys per SCAN: about 0.2 ms of the server's time. */
const SCANNED = "500";

/** @throws StoreError for a value that does not belong to this id */
function recordOf(operation: StoreOperation, id: string, value: unknown): SessionRecord | null {
  if (value === null) return null;
  const record = typeof value === "string" ? decodeRecord(id, value) : undefined;
  if (record === undefined) throw foreignValue(operation);
  return record;
}

const CREATED: Results<CreateResult> = {
  [Code.DONE]: "created",
  [Code.NOTHING]: "taken",
  [Code.FENCED]: "fenced",
};
const UPDATED: Results<UpdateResult> = {
  [Code.DONE]: "updated",
  [Code.NOTHING]: "gone",
  [Code.CONFLICT]: "conflict",
  [Code.FENCED]: "fenced",
};
const REVOKED: Results<boolean> = { [Code.DONE]: true, [Code.NOTHING]: false };

type Results<Result> = Readonly<Record<number, Result>>;

function resultOf<Result>(operation: StoreOperation, returned: unknown, results: Results<Result>): Result {
  const code = Number(returned);
  if (code === Code.FOREIGN) throw foreignValue(operation);
  const result = results[code];
  if (result === undefined) throw notAReply(operation);
  return result;
}

function textOf(value: number | undefined): string {
  return value === undefined ? "" : String(value);
}
