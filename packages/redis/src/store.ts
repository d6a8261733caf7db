import {
  assertChanges,
  assertNewSession,
  type SessionRecord,
  type SessionStore,
  StoreError,
  type StoreOperation,
} from "@tenure/core";
import {
  type Answer,
  decodeAnswer,
  decodeTime,
  DONE,
  FOREIGN,
  NEEDS_INDEX,
  updateResultOf,
} from "./answer.ts";
import { assertClient, type RedisClient, settingsOf } from "./client.ts";
import { warnOfEviction } from "./eviction.ts";
import { newNonce } from "./nonce.ts";
import { type RedisStoreOptions, settingsFrom } from "./options.ts";
import { decodeRecord, encodeUser, userField } from "./record.ts";
import { confirmedByReplicas } from "./replicas.ts";
import { scanSessions } from "./scan.ts";
import { CREATE, REVOKE, TOUCH, UPDATE } from "./scripts.ts";
import { sendingThrough } from "./sending.ts";
import { assertWellFormed, canBeStored } from "./text.ts";
import { type IndexEntry, userIndex } from "./user-index.ts";

/**
 * Sessions on Redis ≥ 7 or Valkey ≥ 7.2, standalone, behind Sentinel or in a Cluster, through the user's own ioredis client.
 *
 * ```
 * SET  tenure:s:<id>  "s <header> <nonces><user id><data>"  PXAT <expiresAt - 1>   a session (record.ts)
 * SET  tenure:s:<id>  "x<nonces>"                           PXAT <until>           a tombstone
 * ZADD tenure:u:<user id>  <endsAt> <id>                                           a user's sessions (user-index.ts)
 * ```
 * No two keys need to be in one slot. Where two are written, the order is:
 * - `create` and a binding `update`: the index, then the session. A crash between leaves an id in the index that leads to
 *   no session of that user. Whoever reads the index looks at the session, and tidies up.
 * - `revoke`, `revokeUser`, an unbinding `update`: the session, then a doubt in the index. A crash between leaves the same.
 *
 * @throws TypeError for an option that is wrong, and for a client that reads from replicas
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): SessionStore {
  assertClient(client);
  const clientSettings = settingsOf(client);
  const settings = settingsFrom(options, clientSettings.commandTimeout);
  const { prefix, timeout, tombstoneMinimum, waitForReplicas } = settings;
  const sending = sendingThrough(client, clientSettings, timeout, () => void warnOfEviction(client));
  const { send, run } = sending;
  const { keyPrefix } = clientSettings;
  const write = waitForReplicas ? confirmedByReplicas(client, sending, waitForReplicas, keyPrefix) : run;
  const index = userIndex(client, sending, write, prefix);

  return {
    async create(session) {
      assertNewSession(session);
      const { id, userId, data, idle, lifetime, createdAt } = session;
      assertWellFormed({ id, userId, data });
      const user = userId === null ? null : encodeUser(userId);
      const others = user === null ? [] : await index.add("create", user, id, { createdAt, lifetime });
      const times = [createdAt === undefined ? "" : String(createdAt), String(idle), String(lifetime)];
      const args = [newNonce(), ...times, userField(user), user ?? "", data];
      const created = decodeAnswer("create", await write("create", CREATE, key(id), args)).code === DONE;
      if (userId !== null) lookAfter(userId, created ? others : [...others, { id, doubted: false }]);
      return created;
    },

    async read(id) {
      return canBeStored("id", id) ? await look("read", id) : null;
    },

    async update(id, changes) {
      assertChanges(changes);
      const { data, userId, idle, ifVersion } = changes;
      if (!canBeStored("id", id)) return "gone";
      const version = ifVersion === undefined ? "" : String(ifVersion);
      if (data === undefined && userId === undefined && idle === undefined) {
        return updateResultOf(decodeAnswer("update", await run("update", TOUCH, key(id), [version])));
      }
      assertWellFormed({ data, userId });
      const user = typeof userId === "string" ? encodeUser(userId) : null;
      const args = [
        newNonce(),
        version,
        idle === undefined ? "" : String(idle),
        userId === undefined ? "" : userField(user),
        user ?? "",
        data === undefined ? "" : `=${data}`,
      ];
      let answer = decodeAnswer("update", await run("update", UPDATE, key(id), [...args, NOT_INDEXED]));
      if (answer.code === NEEDS_INDEX && typeof userId === "string") {
        const others = await index.add("update", encodeUser(userId), id, { endsAt: Number(answer.detail) });
        answer = decodeAnswer("update", await run("update", UPDATE, key(id), [...args, INDEXED]));
        lookAfter(userId, answer.code === DONE ? others : [...others, { id, doubted: false }]);
      }
      if (answer.detail !== undefined) index.doubt(answer.detail, [id]);
      return updateResultOf(answer);
    },

    async revoke(id) {
      if (!canBeStored("id", id)) return false;
      const { code, detail } = await revokeOne("revoke", id, "");
      if (code === FOREIGN) throw foreign("revoke");
      if (detail !== undefined) index.doubt(detail, [id]);
      return code === DONE;
    },

    async revokeUser(userId, { except } = {}) {
      if (!canBeStored("userId", userId)) return 0;
      const user = encodeUser(userId);
      let count = 0;
      for await (const entries of index.pages("revokeUser", user)) {
        const ids = entries.map(({ id }) => id).filter((id) => id !== except);
        const answers = await Promise.all(ids.map((id) => revokeOne("revokeUser", id, `=${user}`)));
        index.doubt(user, ids);
        count += answers.filter(({ code }) => code === DONE).length;
      }
      return count;
    },

    async listUser(userId) {
      if (!canBeStored("userId", userId)) return [];
      const records: SessionRecord[] = [];
      for await (const entries of index.pages("listUser", encodeUser(userId))) {
        records.push(...(await liveOf(userId, entries)));
      }
      return records.toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async *scan() {
      // A cluster's client knows its primaries once it has been answered.
      await now("scan");
      yield* scanSessions(client, sending, keyPrefix, key(""), (id) => look("scan", id));
    },

    now: () => now("now"),
  };

  function key(id: string): string {
    return `${prefix}s:${id}`;
  }

  async function look(operation: StoreOperation, id: string): Promise<SessionRecord | null> {
    const value = await send(operation, () => client.get(key(id)));
    if (value === null) return null;
    const record = decodeRecord(id, value);
    if (record !== undefined) return record;
    throw foreign(operation);
  }

  /**
   * @param mine "" for any session; else "=" and the encoded user whose it must be
   */
  async function revokeOne(operation: "revoke" | "revokeUser", id: string, mine: string): Promise<Answer> {
    const args = [newNonce(), String(tombstoneMinimum), mine];
    return decodeAnswer(operation, await write(operation, REVOKE, key(id), args));
  }

  /** The live sessions of a user among the entries of the index, which is told where it had it wrong. */
  async function liveOf(userId: string, entries: readonly IndexEntry[]): Promise<SessionRecord[]> {
    const user = encodeUser(userId);
    const found = await Promise.all(entries.map(({ id }) => look("listUser", id)));
    const records = found.filter((record): record is SessionRecord => record?.userId === userId);
    const live = new Set(records.map(({ id }) => id));
    index.doubt(
      user,
      entries.map(({ id }) => id).filter((id) => !live.has(id)),
    );
    const doubted = new Set(entries.filter((entry) => entry.doubted).map(({ id }) => id));
    index.restore(
      user,
      records.filter(({ id }) => doubted.has(id)),
    );
    return records;
  }

  /** In the background, and may fail: whether a few entries of an index still lead to something. */
  function lookAfter(userId: string, entries: readonly IndexEntry[]): void {
    if (entries.length > 0) void liveOf(userId, entries).catch(() => undefined);
  }

  async function now(operation: StoreOperation): Promise<number> {
    return decodeTime(await send(operation, () => client.time()));
  }
}

function foreign(operation: StoreOperation): StoreError {
  return new StoreError(
    operation,
    "a key with the store's prefix holds something else: give the store a prefix of its own",
  );
}

/** Whether a user's index is known to hold the id that a script is about to bind to that user. */
const NOT_INDEXED = "0";
const INDEXED = "1";
