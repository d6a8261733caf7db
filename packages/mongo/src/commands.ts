import { randomBytes } from "node:crypto";
import type {
  NewSession,
  RevokeUserOptions,
  SessionChanges,
  SessionRecord,
  UpdateResult,
} from "@tenure/core";
import type { ClientSession, Document, Filter } from "mongodb";
import { within } from "./deadline.ts";
import { isSession, type Stored, toRecord } from "./document.ts";
import { isAnswerLost, isDuplicate, mayBeOfOneWrite } from "./failure.ts";
import { type Handle, PLAIN } from "./handle.ts";
import {
  ALIVE,
  changeSession,
  endSession,
  endUsersSession,
  insertOnly,
  insertSession,
  insertTombstone,
  seal,
} from "./pipelines.ts";

/** The contract in MongoDB's commands. What fails rejects with what the driver threw; input is checked already. */
export interface Commands {
  readonly create: (session: NewSession) => Promise<boolean>;
  /** The live sessions of these ids. */
  readonly read: (ids: readonly string[]) => Promise<Map<string, SessionRecord>>;
  readonly update: (change: Change) => Promise<UpdateResult>;
  /** Many updates in one command, each of another id; each is answered for itself. */
  readonly updateAll: (changes: readonly Change[]) => Promise<(UpdateResult | Promise<UpdateResult>)[]>;
  readonly revoke: (id: string) => Promise<boolean>;
  readonly revokeUser: (userId: string, options?: RevokeUserOptions) => Promise<number>;
  readonly listUser: (userId: string) => Promise<SessionRecord[]>;
  readonly scan: (after: string | null) => Promise<Scanned>;
  readonly now: () => Promise<number>;
}

/** The live sessions among a few documents in the order of their ids. */
export interface Scanned {
  readonly records: readonly SessionRecord[];
  /** The id after which the next batch begins; `null` at the end. */
  readonly last: string | null;
}

/** One `update`, with what tells it from every other. */
export interface Change {
  readonly id: string;
  readonly changes: SessionChanges;
  readonly nonce: string;
}

/** Marks a write: it stays in the document, so that the same write sent again finds that it was done. */
export function newNonce(): string {
  writes += 1;
  return `${PROCESS}.${writes.toString(36)}`;
}

const PROCESS = randomBytes(9).toString("base64url");
let writes = 0;

/** A touch may be lost in a crash; nothing else may. */
export function isTouch({ data, userId }: SessionChanges): boolean {
  return data === undefined && userId === undefined;
}

/**
 * @param handle with the concerns of its reads and writes
 * @param tombstoneMinimum milliseconds
 * @param clientSession what all commands are part of, in a transaction or not
 */
export function commands(
  { database, sessions, limits }: Handle,
  tombstoneMinimum: number,
  clientSession?: ClientSession,
): Commands {
  // A transaction's read preference goes before the handle's, and the driver refuses any but the primary there.
  const joining =
    clientSession === undefined ? {} : ({ session: clientSession, readPreference: "primary" } as const);

  return {
    async create(session) {
      const { id, createdAt, lifetime } = session;
      // The clock only goes on: what has ended has ended, and what ends between this and the insert was alive at birth.
      if (createdAt !== undefined && createdAt + lifetime <= (await now())) return false;
      // E11000 would abort a transaction, and `withTransaction` would run it again and again.
      if (inTransaction() && (await lookUp(id)) !== null) return false;
      const nonce = newNonce();
      try {
        await insert(id, insertSession(session, nonce));
        return true;
      } catch (error) {
        if (!isDuplicate(error) || inTransaction()) throw error;
        const taken = await lookUp(id);
        if (taken === null) throw new Error("an index other than that of _id is unique", { cause: error });
        return taken.nonces.includes(nonce);
      }
    },

    async read(ids) {
      const filter = { _id: only(ids), $expr: ALIVE };
      const options = { ...joining, projection: { nonces: 0 }, batchSize: ids.length + 1 };
      const found = await within(limits.command, sessions.find(filter, options).toArray());
      const missed = new Set(ids);
      for (const { _id } of found) missed.delete(_id);
      const rest = missed.size === 0 ? [] : await seen([{ $match: { _id: only([...missed]) } }], "nonces");
      const live = [...found, ...rest].filter(isSession);
      return new Map(live.map(toRecord).map((record) => [record.id, record]));
    },

    update,

    async updateAll(changes) {
      const [change] = changes;
      if (changes.length === 1 && change) return [await update(change)];
      // In one order everywhere: a server that keeps its locks to the end of a bulk write would deadlock (FerretDB 2.7).
      const inOrder = changes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const operations = inOrder.map((each) => ({ updateOne: updateOf(each) }));
      const options = { ...joining, ordered: false, ...concernOf(changes) };
      try {
        const { matchedCount } = await sent(() => sessions.bulkWrite(operations, options));
        if (matchedCount === changes.length) return changes.map(() => "updated" as const);
      } catch (error) {
        // What one write was refused for must not be its neighbours' error, and servers differ on whose they say it is.
        if (isAnswerLost(error) || !mayBeOfOneWrite(error)) throw error;
        return oneAfterAnother(changes);
      }
      const answers = await whyNot(changes);
      return changes.map((each, i) => answers[i] ?? update(each));
    },

    async revoke(id) {
      const nonce = newNonce();
      const pipeline = endSession(nonce, tombstoneMinimum);
      const options = { ...joining, returnDocument: "after", projection: { endedBy: 1 } } as const;
      for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
        const ended = await sent(() => sessions.findOneAndUpdate({ _id: id }, pipeline, options));
        if (ended !== null) return "endedBy" in ended && ended.endedBy === nonce;
        if (await insertUnlessThere(id, insertTombstone(id, tombstoneMinimum))) return false;
      }
      throw new Error("the session is created and deleted again and again while it is revoked");
    },

    /**
     * The count is asked for afterwards: it is the sessions that hold this call's nonce in place of their user. So it is
     * true when the update was sent twice; a session that another call ended, or that went to another user meanwhile,
     * never got the nonce; and whatever ends it later leaves the nonce there.
     *
     * The count also says whether sessions of the user are left. On a sharded cluster an update of many can miss one whose
     * chunk moves meanwhile (MongoDB's manual on `updateMany`), hence another round; what it ends besides began during the call.
     */
    async revokeUser(userId, { except } = {}) {
      const nonce = newNonce();
      const others = except === undefined ? {} : { _id: { $ne: except } };
      const ended = { endedBy: nonce };
      const count = [
        { $match: { userId: { $in: [userId, ended] }, ...others } },
        { $group: { _id: { $type: "$userId" }, sessions: { $sum: 1 } } },
      ];
      for (let round = 1; ; round += 1) {
        const pipeline = endUsersSession(nonce, tombstoneMinimum);
        await sent(() => sessions.updateMany({ userId, ...others }, pipeline, joining));
        const counts = await sent(() => sessions.aggregate<Count>(count, joining).toArray());
        if (round === ROUNDS || !counts.some(({ _id }) => _id === "string")) {
          return counts.find(({ _id }) => _id === "object")?.sessions ?? 0;
        }
      }
    },

    async listUser(userId) {
      const stored = await seen([{ $match: { userId } }], "nonces");
      return stored
        .filter(isSession)
        .map(toRecord)
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async scan(after) {
      const from = after === null ? { $gte: "" } : { $gt: after };
      const query = [{ $match: { _id: from } }, { $sort: { _id: 1 } }, { $limit: SCANNED }];
      const stored = await seen(query, "nonces");
      const { _id: last = null } = stored.at(-1) ?? {};
      return { records: stored.filter(isSession).map(toRecord), last };
    },

    now,
  };

  async function now(): Promise<number> {
    const options = { readPreference: "primary", ...PLAIN } as const;
    const { localTime } = await sent(() => database.command({ hello: 1 }, options));
    return (localTime as Date).getTime();
  }

  async function insert(id: string, pipeline: Document[]): Promise<void> {
    const options = { ...joining, upsert: true };
    await sent(() => sessions.updateOne(insertOnly(id), pipeline, options));
  }

  async function insertUnlessThere(id: string, pipeline: Document[]): Promise<boolean> {
    try {
      await insert(id, pipeline);
      return true;
    } catch (error) {
      if (!isDuplicate(error) || inTransaction()) throw error;
      return false;
    }
  }

  async function update(change: Change): Promise<UpdateResult> {
    const { filter, update: pipeline } = updateOf(change);
    const options = { ...joining, ...concernOf([change]) };
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
      const { matchedCount } = await sent(() => sessions.updateOne(filter, pipeline, options));
      if (matchedCount === 1) return "updated";
      const [answer] = await whyNot([change]);
      if (answer !== undefined) return answer;
    }
    throw new Error("the session dies and is created again and again while it is updated");
  }

  /** Each for itself, and never many commands at once: a server that refuses all of them is not flooded. */
  function oneAfterAnother(changes: readonly Change[]): Promise<UpdateResult>[] {
    let before: Promise<unknown> = Promise.resolve();
    return changes.map((change) => {
      const answer = before.then(() => update(change));
      before = answer.catch(() => undefined);
      return answer;
    });
  }

  /** Not all of these matched. `undefined`: it is alive and could have, so it was not there or not so a moment ago. */
  async function whyNot(unsure: readonly Change[]): Promise<(UpdateResult | undefined)[]> {
    const stored = await seen([{ $match: { _id: only(unsure.map(({ id }) => id)) } }], "data");
    return unsure.map(({ id, changes: { ifVersion }, nonce }) => {
      const found = stored.find(({ _id }) => _id === id) ?? null;
      if (found?.nonces.includes(nonce)) return "updated";
      if (!isSession(found)) return "gone";
      return ifVersion === undefined || ifVersion === found.version ? undefined : "conflict";
    });
  }

  /**
   * What a query finds, without one field, at an instant at which nothing of it was expired and not yet marked as dead. A
   * seal is a write for a majority: only what has just expired costs one, and not whatever is asked for.
   */
  async function seen(query: Document[], without: "data" | "nonces"): Promise<Stored[]> {
    const pipeline = [...query, { $set: { alive: ALIVE } }, { $unset: without }];
    const options = { ...joining, batchSize: SCANNED + 1 };
    for (;;) {
      const found = await sent(() => sessions.aggregate<Seen>(pipeline, options).toArray());
      const expired = found.filter((stored) => isSession(stored) && !stored.alive).map(({ _id }) => _id);
      if (expired.length === 0) return found;
      // Also where it is one: FerretDB 2.7 knows no $$NOW in an updateMany of one `_id`.
      await sent(() => sessions.updateMany({ _id: { $in: expired } }, seal, joining));
    }
  }

  function lookUp(id: string): Promise<Stored | null> {
    return sent(() => sessions.findOne({ _id: id }, { ...joining, projection: { nonces: 1 } }));
  }

  /** Sends a command that may be sent twice, and sends it again where its answer may have been lost. */
  async function sent<Answer>(command: () => Promise<Answer>): Promise<Answer> {
    try {
      return await within(limits.command, command());
    } catch (error) {
      // A transaction is run again as a whole.
      if (inTransaction() || !isAnswerLost(error)) throw error;
      return await within(limits.command, command());
    }
  }

  function inTransaction(): boolean {
    return clientSession?.inTransaction() ?? false;
  }
}

/** Matches the live session that has not had this very change yet. */
function updateOf({ id, changes, nonce }: Change): { filter: Filter<Stored>; update: Document[] } {
  const { ifVersion } = changes;
  return {
    filter: {
      _id: id,
      ...(ifVersion === undefined ? {} : { version: ifVersion }),
      nonces: { $ne: nonce },
      $expr: ALIVE,
    },
    update: changeSession(changes, nonce),
  };
}

function concernOf(changes: readonly Change[]): { writeConcern?: { w: 1 } } {
  return changes.every((change) => isTouch(change.changes)) ? { writeConcern: { w: 1 } } : {};
}

function only(ids: readonly string[]): string | { $in: string[] } {
  const [id] = ids;
  return ids.length === 1 && id !== undefined ? id : { $in: [...ids] };
}

interface Count {
  readonly _id: "string" | "object";
  readonly sessions: number;
}

type Seen = Stored & { readonly alive: boolean };

/** Each attempt after the first takes a create or a revival by somebody else, just then. */
const MOST_ATTEMPTS = 10;

/** A session that was missed once has just moved; to be missed again it would have to move again at once. */
const ROUNDS = 3;

/** Documents a batch: what one command reads, and what is held in memory. */
const SCANNED = 100;
