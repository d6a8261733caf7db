import type { SessionStore, StoreOperation, UpdateResult } from "@tenure/core";
import {
  assertChanges,
  assertDuration,
  assertNewSession,
  assertRevokeUser,
  assertWellFormed,
  batched,
  canBeStored,
  instantInTheFuture,
  isTouch,
} from "@tenure/core/store";
import type { ClientSession } from "mongodb";
import { type Change, type Commands, commandsOn, newNonce } from "./commands.ts";
import { toStoreError } from "./failure.ts";
import { type Limit, type MongoCollection, ownHandle, type ReadConcernLevel } from "./handle.ts";
import { warnOfMissingIndexes } from "./indexes.ts";
import { mayBind } from "./pipelines.ts";

/** Options of `mongoStore`. */
export interface MongoStoreOptions {
  /** How long a tombstone lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * `"local"` (default): what the primary has now. A primary that was cut off from its set and has not noticed yet
   * (`electionTimeoutMillis`, 10 s by default) can show a session that the new primary has revoked to a client that reaches only
   * the old one.
   *
   * `"linearizable"`: each `read` waits until a majority has confirmed that the primary still is one. This closes that gap. It
   * costs a round trip to the other members for each read, and each is a command of its own, because MongoDB promises it only to a query
   * that can find one document: not to `listUser` and `scan`, and not inside {@link MongoStore.with}. Without a majority it
   * waits for ever unless the client has a limit.
   */
  readonly readConcern?: ReadConcernLevel;
}

/** The store that `mongoStore` makes: the contract, and a way into a transaction of the application. */
export interface MongoStore extends SessionStore {
  /**
   * The same store inside the application's own transaction, so that "change the password and end all sessions" happens as
   * one. Call `revokeUser` again after the commit: the fence is older than the commit, and a login that checked the old password
   * meanwhile may have passed it.
   *
   * An error with the label `TransientTransactionError` is the driver's own, so that `withTransaction` runs the transaction
   * again. Every other is a `StoreError`. Await each call before the next, as in any transaction. Reads are those of the
   * transaction, or of the session, and never `"linearizable"`.
   *
   * @throws TypeError if the session has ended, or reads a snapshot and so cannot write
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
 * The contract on MongoDB, in the user's own collection.
 *
 * ```
 * session    { _id: id, v: 1, userId?, authenticatedAt?, data, version, createdAt, touchedAt, idle, expiresAt, endsAt, nonces, unchecked? }
 * tombstone  { _id: id, v: 1, endedBy?, refused?, vacant?, endsAt, nonces }
 * fence      { _id: { user: digest of userId }, v: 1, fence?, setAt?, boundBy?, endsAt }
 *
 * index      { userId: 1, _id: 1 }, partialFilterExpression: { userId: { $exists: true } }
 * index      { endsAt: 1 }, expireAfterSeconds: 0
 * ```
 * A session is one document, and each write that depends on its state is one conditional update of it. Instants are dates of
 * the server's clock. A session is alive while `expiresAt` is later than now. A tombstone has no `expiresAt`, and is needed until `endsAt`.
 * `nonces` mark the last writes, so that a command that is sent twice finds its own.
 *
 * **The fence.** MongoDB changes one document atomically, and a login concerns two: the session and the user's fence. So a
 * create or update that binds a session to a user marks the binding as `unchecked`, and a second step compares it with the
 * fence:
 *
 * ```
 * login        1. write the session, with `unchecked`   2. read the fence   3. end the session, or remove `unchecked`
 * revokeUser   1. raise the fence                       2. find the user's sessions, page by page   3. end them
 * ```
 * Either `revokeUser` finds the session, or the login's step 2 reads the raised fence. The login's third step decides: it is one update
 * on the condition that the binding is still there, so it does nothing to a session that `revokeUser` ended in between.
 *
 * A crash after the login's first step, or a first step that arrives late, leaves a binding that nobody compared with the fence. It is not readable:
 * **each call that meets an unchecked binding takes steps 2 and 3 before it returns.** If that happens so late that the fence may be
 * forgotten, the instant that the caller gave is older than the tombstone minimum, and step 3 refuses it for that. A crash of `revokeUser`
 * leaves the fence raised and some sessions alive. They are found by the next call.
 *
 * In a transaction step 2 writes the fence's document too, so that the commit conflicts with a `revokeUser` that the
 * transaction does not see.
 *
 * @throws TypeError if the collection is not the driver's, or an option is wrong
 */
export function mongoStore(collection: MongoCollection, options: MongoStoreOptions = {}): MongoStore {
  const { tombstoneMinimum = 60 * 60 * 1000, readConcern = "local" } = options;
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  if (readConcern !== "local" && readConcern !== "linearizable") {
    throw new TypeError('readConcern must be "local" or "linearizable"');
  }
  const handle = ownHandle(collection, readConcern);
  const commands = commandsOn(handle, tombstoneMinimum);
  const inspected = once(() => warnOfMissingIndexes(handle.sessions));
  const read = readConcern === "linearizable" ? commands.read : batched({ ...JOINED, run: commands.readAll });
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
      // A handle of its own: the driver writes the session's `afterClusterTime` into a handle's read concern, where it stays,
      // and the server refuses a linearizable read with one.
      const own = ownHandle(collection, "local");
      const plain = commandsOn(own, tombstoneMinimum, clientSession as ClientSession);
      return storeOn(plain, inspected, handle.limitCall);
    },
  };
}

/**
 * Joins concurrent updates into one `bulkWrite`, touches apart from others because they wait for less. An update that may bind is a command
 * of its own, whose reply says what became of it.
 */
function joinedUpdates({ update, updateAll }: Commands): Commands["update"] {
  const updating = {
    ...JOINED,
    // A command is at most 48 MB.
    maxBytes: 16 * 1024 * 1024,
    sizeOf: ({ changes }: Change) => (changes.data?.length ?? 0) * MAX_BYTES_PER_UNIT,
    run: updateAll,
  };
  const touch = batched<Change, UpdateResult>(updating);
  const save = batched<Change, UpdateResult>(updating);
  return (change) => {
    if (mayBind(change.changes)) return update(change);
    return isTouch(change.changes) ? touch(change) : save(change);
  };
}

/** Two batches under way: with any number of them, fewer page views were made at C=64 on FerretDB 2.7. */
const JOINED = { slots: 2, patience: 100, limit: 128 };

function storeOn(commands: Commands, inspected: () => Promise<void>, limitCall: Limit): SessionStore {
  return {
    async create(session) {
      assertNewSession(session);
      const { id, userId, data } = session;
      assertWellFormed({ id, userId, data });
      // The command holds the id in its filter and in the document.
      assertFits(id, id, userId ?? "", data);
      return attempt("create", () => commands.create(session));
    },

    async read(id) {
      if (!canBeStored("id", id)) return null;
      return attempt("read", () => commands.read(id));
    },

    async update(id, changes) {
      assertChanges(changes);
      assertWellFormed({ userId: changes.userId, data: changes.data });
      if (!canBeStored("id", id)) return "gone";
      assertFits(id, changes.userId ?? "", changes.data ?? "");
      return attempt("update", () => commands.update({ id, changes, nonce: newNonce() }));
    },

    async revoke(id) {
      if (!canBeStored("id", id)) return false;
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
      if (!canBeStored("userId", userId)) return 0;
      // BSON would make a lone surrogate the id of another session.
      const { except, ...others } = options;
      const spared = except !== undefined && canBeStored("except", except) ? { except } : {};
      // Its commands are limited one by one: a user may have any number of sessions.
      return attempt(
        "revokeUser",
        () => commands.revokeUser(userId, { ...others, ...spared }),
        (work) => work,
      );
    },

    async listUser(userId) {
      if (!canBeStored("userId", userId)) return [];
      return attempt("listUser", () => commands.listUser(userId));
    },

    async *scan() {
      // Not before the end: "log everybody out" must end the sessions behind a document that is not one.
      let failure: Error | undefined;
      for (let from: string | null = ""; from !== null;) {
        const place: string = from;
        const page = await attempt("scan", () => commands.scan(place));
        for (const record of page.records) {
          if (record instanceof Error) failure ??= record;
          else yield record;
        }
        from = page.next;
      }
      if (failure !== undefined) throw toStoreError("scan", failure);
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

/**
 * Refuses a session that does not fit into a document or a command. What the command holds twice is given twice.
 *
 * @throws TypeError
 */
function assertFits(...strings: readonly string[]): void {
  const units = strings.reduce((sum, value) => sum + value.length, 0);
  if (units * MAX_BYTES_PER_UNIT <= MAX_BYTES) return;
  const bytes = strings.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  if (bytes > MAX_BYTES) {
    throw new TypeError(
      `the session's strings have ${bytes} bytes, and at most ${MAX_BYTES} fit into a MongoDB document of 16 MiB`,
    );
  }
}

/** Bytes of UTF-8 per UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3;

/** MongoDB's limit of a document (16 MiB), without what else a session's document holds. */
const MAX_BYTES = 16 * 1024 * 1024 - 4096;

/** Does something at the first call. If that fails, the next call does it. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () =>
    (done ??= work().catch((error: unknown) => {
      done = undefined;
      throw error;
    }));
}
