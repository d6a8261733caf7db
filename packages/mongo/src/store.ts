import type { SessionStore, StoreOperation, UpdateResult } from "@tenure/core";
import {
  assertChanges,
  assertDuration,
  assertKnownOptions,
  assertNewSession,
  assertRevokeUser,
  assertWellFormed,
  batched,
  canBeStored,
  instantInTheFuture,
  isTouch,
  scanPages,
} from "@tenure/core/store";
import type { ClientSession } from "mongodb";
import { type Change, type Commands, commandsOn } from "./commands.ts";
import { toStoreError } from "./failure.ts";
import { type Limit, type MongoCollection, ownHandle, type ReadConcernLevel } from "./handle.ts";
import { warnOfMissingIndexes } from "./indexes.ts";
import { newNonce } from "./nonce.ts";
import { mayBind } from "./pipelines.ts";

/** Options of `mongoStore`. */
export interface MongoStoreOptions {
  /**
   * The shortest life of a tombstone, in milliseconds. Must exceed the duration of any request. Default one
   * hour.
   */
  readonly tombstoneMinimum?: number;
  /**
   * `"local"` (default): the primary's current data. A primary that was cut off from its set and has not
   * noticed (`electionTimeoutMillis`, 10 s by default) can show a revoked session to a client that reaches
   * only that primary.
   *
   * `"linearizable"`: each `read` waits until a majority confirms the primary, which closes that gap. It
   * costs a round trip to the other members and a separate command per read. It has no effect in
   * {@link MongoStore.with}, and MongoDB does not guarantee it for `listUser` and `scan`, whose queries match
   * several documents. Without a majority, reads wait for ever unless the client has a time limit.
   */
  readonly readConcern?: ReadConcernLevel;
}

const OPTIONS = ["tombstoneMinimum", "readConcern"] satisfies (keyof MongoStoreOptions)[];

/** A `SessionStore` that can also join an application's transaction. */
export interface MongoStore extends SessionStore {
  /**
   * Returns the same store inside the application's transaction, so that a new password and the end of all
   * sessions commit together. Call `revokeUser` again after the commit: the fence is older than the commit,
   * so a login that checked the old password in between may have passed it.
   *
   * Errors labelled `TransientTransactionError` are passed on unchanged, so that `withTransaction` repeats
   * the transaction. All others are `StoreError`s. Await each call before the next, as in any transaction.
   * Reads use the transaction's read concern, or `"local"` outside a transaction.
   *
   * @throws TypeError if the session has ended, or was started with `snapshot` and so cannot write
   */
  with(clientSession: MongoClientSession): SessionStore;
}

/** The driver's `ClientSession`, of any version. */
export interface MongoClientSession {
  readonly hasEnded: boolean;
  readonly snapshotEnabled: boolean;
  inTransaction(): boolean;
}

/**
 * Stores sessions in the application's MongoDB collection.
 *
 * ```
 * session    { _id: id, v: 1, userId?, authenticatedAt?, data, version, createdAt, touchedAt,
 *              idle, expiresAt, endsAt, nonces, unchecked? }
 * tombstone  { _id: id, v: 1, endedBy?, refused?, vacant?, endsAt, nonces }
 * fence      { _id: { user: digest of userId }, v: 1, fence?, setAt?, boundBy?, endsAt }
 *
 * index      { userId: 1, _id: 1 }, partialFilterExpression: { userId: { $exists: true } }
 * index      { endsAt: 1 }, expireAfterSeconds: 0
 * ```
 * Each write that depends on a session's state is one conditional update of its document. Instants are dates
 * of the server's clock. A session is alive until `expiresAt`. A tombstone has no `expiresAt` and is needed
 * until `endsAt`. `nonces` mark the last writes, so that a command that is sent twice recognizes itself.
 *
 * How a login and `revokeUser` exclude each other: `bindings.ts`.
 *
 * @throws TypeError if the collection is not the driver's, or an option is invalid
 */
export function mongoStore(collection: MongoCollection, options: MongoStoreOptions = {}): MongoStore {
  assertKnownOptions(options, OPTIONS);
  const { tombstoneMinimum = 60 * 60 * 1000, readConcern = "local" } = options;
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  if (readConcern !== "local" && readConcern !== "linearizable") {
    throw new TypeError('readConcern must be "local" or "linearizable"');
  }
  const handle = ownHandle(collection, readConcern);
  const commands = commandsOn(handle, tombstoneMinimum);
  const inspected = once(() => warnOfMissingIndexes(handle.sessions));
  const read =
    readConcern === "linearizable"
      ? commands.read
      : batched({ ...JOINED, sizeOf: maxBytesOf, run: commands.readAll });
  const joined = { ...commands, read, update: joinedUpdates(commands) };
  return {
    ...storeOn(joined, inspected, handle.limitCall),
    with(clientSession) {
      if (
        clientSession?.inTransaction === undefined ||
        clientSession.hasEnded ||
        clientSession.snapshotEnabled
      ) {
        throw new TypeError(
          "with() takes a ClientSession that has not ended and was not started with `snapshot`",
        );
      }
      // Needs its own handle: the driver leaves the session's `afterClusterTime` in a handle's read concern,
      // and the server refuses linearizable reads with one.
      const own = ownHandle(collection, "local");
      const plain = commandsOn(own, tombstoneMinimum, clientSession as ClientSession);
      return storeOn(plain, inspected, handle.limitCall);
    },
  };
}

/**
 * Joins concurrent updates into one `bulkWrite`, and touches into another, because their write concern is
 * weaker. An update that may bind is not joined, because it needs its own reply.
 */
function joinedUpdates({ update, updateAll }: Commands): Commands["update"] {
  const updating = {
    ...JOINED,
    sizeOf: ({ id, changes }: Change) => maxBytesOf(id, changes.data ?? ""),
    run: updateAll,
  };
  const touch = batched<Change, UpdateResult>(updating);
  const save = batched<Change, UpdateResult>(updating);
  return (change) => {
    if (mayBind(change.changes)) return update(change);
    return isTouch(change.changes) ? touch(change) : save(change);
  };
}

function storeOn(commands: Commands, inspected: () => Promise<void>, limitCall: Limit): SessionStore {
  return {
    async create(session) {
      assertNewSession(session);
      const { id, userId, data } = session;
      assertWellFormed({ id, userId, data });
      assertFits(id, id, userId ?? "", data);
      return attempt("create", () => commands.create(session));
    },

    async read(id) {
      if (!canBeId("id", id)) return null;
      return attempt("read", () => commands.read(id));
    },

    async update(id, changes) {
      assertChanges(changes);
      assertWellFormed({ userId: changes.userId, data: changes.data });
      if (!canBeId("id", id)) return "gone";
      assertFits(id, changes.userId ?? "", changes.data ?? "");
      return attempt("update", () => commands.update({ id, changes, nonce: newNonce() }));
    },

    async revoke(id) {
      if (!canBeId("id", id)) return false;
      return attempt("revoke", () => commands.revoke(id));
    },

    async revokeUser(userId, options = {}) {
      assertRevokeUser(userId, options);
      const { authenticatedUpTo } = options;
      if (
        authenticatedUpTo !== undefined &&
        authenticatedUpTo > (await attempt("revokeUser", commands.now))
      ) {
        throw instantInTheFuture();
      }
      if (!canBeUserId(userId)) return 0;
      // BSON would turn a lone surrogate into the id of another session.
      const { except, ...others } = options;
      const spared = except !== undefined && canBeId("except", except) ? { except } : {};
      // Only single commands are limited: a user may have any number of sessions.
      return attempt(
        "revokeUser",
        () => commands.revokeUser(userId, { ...others, ...spared }),
        (work) => work,
      );
    },

    async listUser(userId) {
      if (!canBeUserId(userId)) return [];
      return attempt("listUser", () => commands.listUser(userId));
    },

    async *scan() {
      try {
        yield* scanPages("", (from) => attempt("scan", () => commands.scan(from)));
      } catch (error) {
        throw toStoreError("scan", error);
      }
    },

    now() {
      return attempt("now", commands.now);
    },
  };

  async function attempt<Result>(
    operation: StoreOperation,
    work: () => Promise<Result>,
    limit: Limit = limitCall,
  ): Promise<Result> {
    try {
      return await limit(inspected().then(work));
    } catch (error) {
      throw toStoreError(operation, error);
    }
  }
}

/** Whether a session can have this id. The command that creates one holds the id twice. */
function canBeId(name: "id" | "except", id: string): boolean {
  return canBeStored(name, id) && fits(id, id);
}

function canBeUserId(userId: string): boolean {
  return canBeStored("userId", userId) && fits(userId);
}

/** @throws TypeError */
function assertFits(...strings: readonly string[]): void {
  if (fits(...strings)) return;
  throw new TypeError(
    `the session's strings must not have more than ${MAX_BYTES} bytes of UTF-8: a MongoDB document holds 16 MiB`,
  );
}

/** Whether strings fit into one document or command. */
function fits(...strings: readonly string[]): boolean {
  if (maxBytesOf(...strings) <= MAX_BYTES) return true;
  return strings.reduce((sum, value) => sum + Buffer.byteLength(value), 0) <= MAX_BYTES;
}

/** The most bytes that strings can take: UTF-8 takes at most three per UTF-16 code unit. */
function maxBytesOf(...strings: readonly string[]): number {
  return strings.reduce((sum, { length }) => sum + 3 * length, 0);
}

/** MongoDB's limit for a document (16 MiB), minus room for the other fields. */
const MAX_BYTES = 16 * 1024 * 1024 - 4096;

/**
 * With more batches at a time, FerretDB 2.7 served fewer page views (64 concurrent requests). The ids of a
 * batch must fit into one query, and its data into one command: the driver would split a larger update into
 * several commands, which together would have the time limit of one.
 */
const JOINED = { slots: 2, patience: 100, limit: 128, maxBytes: MAX_BYTES };

/** Runs `work` once. If it fails, the next call runs it again. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () =>
    (done ??= work().catch((error: unknown) => {
      done = undefined;
      throw error;
    }));
}
