import {
  assertChanges,
  assertNewSession,
  type SessionRecord,
  type SessionStore,
  type StoreOperation,
  type UpdateResult,
} from "@tenure/core";
import type { ClientSession, Collection } from "mongodb";
import { assertFits, assertStorable } from "./bounds.ts";
import { type Change, type Commands, commands, isTouch, newNonce } from "./commands.ts";
import { type Limit, within } from "./deadline.ts";
import type { Stored } from "./document.ts";
import { failure, isUnauthorized } from "./failure.ts";
import { ownHandle, type ReadConcernLevel } from "./handle.ts";
import { findMissingIndexes } from "./indexes.ts";
import { joined } from "./joining.ts";

export interface MongoStoreOptions {
  /** How long a tombstone lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * `"local"` (default): what the primary has now, so that a touch counts as soon as it is acknowledged. A primary that was
   * cut off from its set and has not noticed yet (`electionTimeoutMillis`, 10 s by default) can show a session that the new
   * primary has revoked to those clients that still reach only the old one.
   *
   * `"linearizable"`: each `read` waits until a majority has confirmed that the primary still is one. Closes that gap and
   * costs a round trip to the other members for each, and each is a command of its own: MongoDB promises it only to a query
   * that can find one document, so not to `listUser` and `scan`, and not inside {@link MongoStore.with}. Without a majority it
   * waits without end unless the client has a limit.
   */
  readonly readConcern?: ReadConcernLevel;
}

export interface MongoStore extends SessionStore {
  /**
   * The same store inside the application's own transaction: "change the password and end all sessions" is committed or
   * rolled back as one.
   *
   * An error with the label `TransientTransactionError` passes as the driver threw it, for `withTransaction` to run the
   * transaction again; every other is a `StoreError`. Await each call before the next, as in any transaction. Reads are
   * those of the transaction, or of the session; `readConcern: "linearizable"` is not for them.
   *
   * @throws TypeError when the session has ended, or reads a snapshot and so can't write
   */
  with(clientSession: ClientSession): SessionStore;
}

/**
 * The contract on MongoDB, in the user's own collection.
 *
 * ```
 * session    { _id: id, userId?, data, version, createdAt, touchedAt, idle, expiresAt, endsAt, nonces }
 * tombstone  { _id: id, endsAt, nonces, endedBy?: nonce | userId?: { endedBy: nonce } }
 *
 * index      { userId: 1 }, partialFilterExpression: { userId: { $exists: true } }
 * index      { endsAt: 1 }, expireAfterSeconds: 0
 * ```
 * A session is one document, and each write that depends on its state is one conditional update on it. Instants are dates of
 * the server's clock. A session is alive while `expiresAt` is later than now; a tombstone, of a session that was revoked or
 * was seen after it had expired, has none, and is needed until `endsAt`. `nonces` are the marks of the last writes: a
 * command that is sent twice finds its own.
 *
 * @throws TypeError when the collection is not the driver's, or an option is wrong
 */
export function mongoStore(collection: Collection, options: MongoStoreOptions = {}): MongoStore {
  const { tombstoneMinimum = 60 * 60 * 1000, readConcern = "local" } = options;
  if (!(Number.isSafeInteger(tombstoneMinimum) && tombstoneMinimum > 0)) {
    throw new TypeError("tombstoneMinimum must be a whole number of milliseconds above 0");
  }
  if (readConcern !== "local" && readConcern !== "linearizable") {
    throw new TypeError('readConcern must be "local" or "linearizable"');
  }
  const handle = ownHandle(collection, readConcern);
  const { call } = handle.limits;
  const inspected = inspection(handle.sessions);
  const shared = commands(handle, tombstoneMinimum);
  return {
    ...asStore(shared, joinedRoutes(shared, readConcern), inspected, call),
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
      // A handle of its own: the driver writes the session's `afterClusterTime` into a handle's read concern, for good, and a
      // linearizable read with one is refused.
      const own = commands(ownHandle(collection, "local"), tombstoneMinimum, clientSession);
      return asStore(own, plainRoutes(own), inspected, call);
    },
  };
}

/** How the two most frequent calls reach the server. */
interface Routes {
  readonly read: (id: string) => Promise<SessionRecord | null>;
  readonly update: (change: Change) => Promise<UpdateResult>;
}

/** Together with the calls of others. Touches apart: they wait for less. Linearizable reads each alone. */
function joinedRoutes(backend: Commands, readConcern: ReadConcernLevel): Routes {
  const { read, updateAll } = backend;
  const touch = joined({ batchLimit: BATCH, key: ({ id }: Change) => id, run: updateAll });
  const change = joined({ batchLimit: BATCH, key: ({ id }: Change) => id, run: updateAll });
  return {
    read:
      readConcern === "linearizable"
        ? plainRoutes(backend).read
        : joined({
            batchLimit: BATCH,
            run: async (ids: readonly string[]) => {
              const records = await read([...new Set(ids)]);
              return ids.map((id) => records.get(id) ?? null);
            },
          }),
    update: (each) => (isTouch(each.changes) ? touch(each) : change(each)),
  };
}

/** One by one, as a client session wants it. */
function plainRoutes({ read, update }: Commands): Routes {
  return { read: async (id) => (await read([id])).get(id) ?? null, update };
}

const BATCH = 128;

function asStore(
  backend: Commands,
  routes: Routes,
  inspected: () => Promise<void>,
  limit: Limit | undefined,
): SessionStore {
  return {
    async create(session) {
      assertNewSession(session);
      const { id, data } = session;
      const userId = session.userId ?? "";
      assertStorable({ id, userId, data });
      // The command holds the id in its filter and in the document.
      assertFits(id, id, userId, data);
      return attempt("create", () => backend.create(session));
    },

    async read(id) {
      assertStorable({ id });
      return attempt("read", () => routes.read(id));
    },

    async update(id, changes) {
      assertChanges(changes);
      const data = changes.data ?? "";
      const userId = changes.userId ?? "";
      assertStorable({ id, userId, data });
      assertFits(id, userId, data);
      return attempt("update", () => routes.update({ id, changes, nonce: newNonce() }));
    },

    async revoke(id) {
      assertStorable({ id });
      return attempt("revoke", () => backend.revoke(id));
    },

    async revokeUser(userId, options) {
      assertStorable({ userId, except: options?.except ?? "" });
      return attempt("revokeUser", () => backend.revokeUser(userId, options));
    },

    async listUser(userId) {
      assertStorable({ userId });
      return attempt("listUser", () => backend.listUser(userId));
    },

    async *scan() {
      let batch = await attempt("scan", () => backend.scan(null));
      while (batch.last !== null) {
        const { records, last } = batch;
        yield* records;
        batch = await attempt("scan", () => backend.scan(last));
      }
    },

    now() {
      return attempt("now", () => backend.now());
    },
  };

  async function attempt<Answer>(operation: StoreOperation, work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await within(limit, inspected().then(work));
    } catch (error) {
      throw failure(operation, error);
    }
  }
}

/** Looks the collection over at the first call, once; a call that could not find out leaves it to the next. */
function inspection(sessions: Collection<Stored>): () => Promise<void> {
  let inspecting: Promise<void> | undefined;
  return () =>
    (inspecting ??= inspect(sessions).catch((error: unknown) => {
      inspecting = undefined;
      throw error;
    }));
}

async function inspect(sessions: Collection<Stored>): Promise<void> {
  try {
    for (const missing of await findMissingIndexes(sessions)) warn(missing);
  } catch (error) {
    if (!isUnauthorized(error)) throw error;
    warn(
      `${sessions.namespace}: the client's user may not list its indexes, so nobody knows whether one is missing, or whether ` +
        "a collation makes different ids equal there: grant it the action listIndexes",
    );
  }
}

function warn(message: string): void {
  process.emitWarning(message, { type: "TenureWarning", code: "TENURE_MONGO_INDEX" });
}
