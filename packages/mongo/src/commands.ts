import { setTimeout as sleep } from "node:timers/promises";
import type {
  CreateResult,
  NewSession,
  RevokeUserOptions,
  SessionChanges,
  SessionRecord,
  UpdateResult,
} from "@tenure/core";
import { Fault, isTouch, orError, type ScanPage } from "@tenure/core/store";
import type { ClientSession, Document, Filter } from "mongodb";
import { bindingsOn, changingTooFast, isUnchecked, MAX_ATTEMPTS } from "./bindings.ts";
import { idOf, millisecondsOf, type Named, namedIn, type Stored } from "./document.ts";
import { failsAll, isDuplicate } from "./failure.ts";
import { type Handle, PLAIN } from "./handle.ts";
import { newNonce } from "./nonce.ts";
import {
  ALIVE,
  changeSession,
  endSession,
  endUsersSession,
  insertSession,
  insertTombstone,
  mayBind,
} from "./pipelines.ts";
import { senderOn } from "./sender.ts";

/** The contract as MongoDB commands, for checked input. They reject with the driver's errors and `Fault`s. */
export interface Commands {
  readonly create: (session: NewSession) => Promise<CreateResult>;
  readonly read: (id: string) => Promise<SessionRecord | null>;
  /** Joined reads. Resolves to the live session of each id, or `null`. */
  readonly readAll: (ids: readonly string[]) => Promise<(SessionRecord | null | Error)[]>;
  readonly update: (change: Change) => Promise<UpdateResult>;
  /** Joined updates, none of which may bind. */
  readonly updateAll: (changes: readonly Change[]) => Promise<(UpdateResult | Error)[]>;
  readonly revoke: (id: string) => Promise<boolean>;
  readonly revokeUser: (userId: string, options: RevokeUserOptions) => Promise<number>;
  readonly listUser: (userId: string) => Promise<SessionRecord[]>;
  /** The next page begins after the id `next`. */
  readonly scan: (from: string) => Promise<ScanPage<string>>;
  readonly now: () => Promise<number>;
}

/** One `update`, with the nonce that identifies it. */
export interface Change {
  readonly id: string;
  readonly changes: SessionChanges;
  readonly nonce: string;
}

/**
 * @param handle has the read and write concerns
 * @param tombstoneMinimum milliseconds
 * @param clientSession runs every command, whether it is in a transaction or not
 */
export function commandsOn(
  handle: Handle,
  tombstoneMinimum: number,
  clientSession?: ClientSession,
): Commands {
  const { database } = handle;
  const sender = senderOn(handle, clientSession);
  const { sessions, joining, sent, inTransaction } = sender;
  const { check, checked, lookUp, raiseFence } = bindingsOn(sender, tombstoneMinimum);

  return {
    async create(session) {
      const { id, userId } = session;
      const nonce = newNonce();
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
        // E11000 would abort a transaction and make `withTransaction` repeat it, so look the id up first.
        let existing = inTransaction() ? await lookUp(id) : null;
        if (existing === null || existing.vacant) {
          const isInserted = await insert(id, insertSession(session, nonce));
          if (!isInserted) existing = await lookUp(id);
          if (isInserted || existing?.nonces?.includes(nonce)) {
            if (userId === null) return "created";
            const after = await check({ _id: id, userId, unchecked: { by: nonce } });
            // It has expired, and the TTL index has removed it. A refusal would have left a tombstone.
            if (after === null) return "created";
            // If another call refused this create, the id was free again, and a third call may have used it.
            const isOurs = after.refused !== nonce && after.nonces?.includes(nonce);
            return isOurs ? "created" : "fenced";
          }
          if (existing === null)
            throw new Fault(
              "a unique index other than that of _id refused the session: drop it, or give sessions their own collection",
            );
        }
        if (isUnchecked(existing)) await check(existing);
        else if (!existing.vacant) return "taken";
      }
      throw changingTooFast();
    },

    async read(id) {
      const [result] = await readAll([id]);
      if (result instanceof Error) throw result;
      return result!;
    },

    readAll,

    update,

    // No command updates an id twice: a document keeps too few nonces to recognize many updates.
    async updateAll(changes) {
      const results = new Map<Change, UpdateResult | Error>();
      let left = [...changes];
      while (left.length > 0) {
        const firsts = [...new Map(left.toReversed().map((change) => [change.id, change])).values()];
        const outcomes = await updateTogether(firsts);
        for (const [i, change] of firsts.entries()) results.set(change, outcomes[i]!);
        left = left.filter((change) => !results.has(change));
        const failure = outcomes.find(failsAll);
        if (failure !== undefined) for (const change of left.splice(0)) results.set(change, failure);
      }
      return changes.map((change) => results.get(change)!);
    },

    async revoke(id) {
      const nonce = newNonce();
      const filter = { _id: id, unchecked: { $exists: false } };
      const pipeline = endSession(nonce, tombstoneMinimum);
      const options = { ...joining, returnDocument: "after", projection: { endedBy: 1 } } as const;
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
        const ended = await sent(() => sessions.findOneAndUpdate(filter, pipeline, options));
        if (ended !== null) return ended.endedBy === nonce;
        const existing = await lookUp(id);
        if (existing === null) {
          if (await insert(id, insertTombstone(id, tombstoneMinimum))) return false;
        } else if (isUnchecked(existing)) await check(existing);
      }
      throw changingTooFast();
    },

    async revokeUser(userId, { except, authenticatedUpTo }) {
      const { fence, setAt } = await raiseFence(userId, authenticatedUpTo);
      const setAtHere = performance.now();
      const fenced = { instant: authenticatedUpTo ?? millisecondsOf(fence), setAt: millisecondsOf(setAt) };
      // Neither sorted nor paged by `_id`, for which FerretDB 2.7 would scan the `_id` index from its start.
      // Sessions that one page ends are not on the next.
      const filter = {
        ...upTo(userId, fenced.instant),
        ...(except === undefined ? {} : { _id: { $ne: except } }),
      };
      const projection = { userId: 1, expiresAt: 1, unchecked: 1 };
      const options = { ...joining, projection, limit: END_BATCH, batchSize: END_BATCH + 1 };
      let ended = 0;
      for (let page = 1, isLast = false; !isLast; page += 1) {
        if (page > MAX_PAGES)
          throw new Fault("the user has more sessions than one call can end: call it again");
        const found = await sent(() => sessions.find(filter, options).toArray());
        const due = found.map((document) => namedIn(document, { userId }));
        ended += await endAll(userId, due, fenced);
        isLast = due.length < END_BATCH;
      }
      // Measured by this process's monotonic clock, from after the server's clock showed `setAt`.
      const wait = fenced.instant + 1 - fenced.setAt - (performance.now() - setAtHere);
      if (wait > 0) await sleep(wait + 1);
      return ended;
    },

    async listUser(userId) {
      const filter = { userId, $expr: ALIVE };
      const options = { ...joining, projection: { nonces: 0 } };
      const { found, recordOf } = await checked({ userId }, () => sessions.find(filter, options).toArray());
      return found.map(recordOf).toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async scan(from) {
      const pipeline = [
        { $match: { _id: from === "" ? { $gte: "" } : { $gt: from } } },
        { $sort: { _id: 1 } },
        { $limit: SCAN_PAGE },
        { $set: { alive: ALIVE } },
        { $unset: "nonces" },
      ];
      const options = { ...joining, batchSize: SCAN_PAGE + 1 };
      const { found, recordOf } = await checked({}, () => sessions.aggregate(pipeline, options).toArray());
      return {
        records: found.filter(({ alive }) => alive).map((document) => orError(() => recordOf(document))),
        next: found.length < SCAN_PAGE ? undefined : idOf(found.at(-1)!),
      };
    },

    /**
     * The clock that the pipelines compare with. `localTime` of `hello` differs: FerretDB 2.7 rounds it down,
     * and `$$NOW` up.
     */
    async now() {
      const options = { readPreference: "primary", ...PLAIN } as const;
      // A separate stage, because FerretDB does not support `$$NOW` within `$documents`.
      const pipeline = [{ $documents: [{}] }, { $project: { now: "$$NOW" } }];
      const reply = await sent(() => database.command({ aggregate: 1, pipeline, cursor: {} }, options));
      const time: unknown = reply["cursor"]?.firstBatch?.[0]?.now;
      if (time instanceof Date) return time.getTime();
      throw new Fault("MongoDB's reply is not a time");
    },
  };

  async function readAll(ids: readonly string[]): Promise<(SessionRecord | null | Error)[]> {
    const distinct = new Set(ids);
    const filter = { _id: only(distinct), $expr: ALIVE };
    const options = { ...joining, projection: { nonces: 0 }, batchSize: distinct.size + 1 };
    const { found, recordOf } = await checked({ ids: distinct }, () =>
      sessions.find(filter, options).toArray(),
    );
    const records = new Map(found.map((document) => [idOf(document), orError(() => recordOf(document))]));
    return ids.map((id) => records.get(id) ?? null);
  }

  /** @returns `false` if the id is taken by a session or by a tombstone that is not vacant */
  async function insert(id: string, pipeline: Document[]): Promise<boolean> {
    const options = { ...joining, upsert: true };
    try {
      // Matches only a vacant tombstone. Otherwise inserts, or is refused with E11000. mongos routes by the
      // `_id`.
      await sent(() => sessions.updateOne({ _id: id, vacant: true }, pipeline, options));
      return true;
    } catch (error) {
      if (!isDuplicate(error) || inTransaction()) throw error;
      return false;
    }
  }

  async function updateTogether(changes: readonly Change[]): Promise<(UpdateResult | Error)[]> {
    if (changes.length === 1) return oneAfterAnother(changes, update);
    // Always in one order: FerretDB 2.7 keeps locks until the end of a bulk write, so two could deadlock.
    const inOrder = changes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const operations = inOrder.map((each) => ({ updateOne: updateOf(each) }));
    const options = { ...joining, ordered: false, ...concernOf(changes) };
    try {
      const { matchedCount } = await sent(() => sessions.bulkWrite(operations, options));
      if (matchedCount === changes.length) return changes.map(() => "updated" as const);
      const reasons = await reasonsFor(changes);
      return await oneAfterAnother(changes, async (change, i) => reasons[i] ?? update(change));
    } catch (error) {
      if (failsAll(error)) return changes.map(() => error);
      // One update's error must not reject the others, and servers disagree on which update failed.
      return oneAfterAnother(changes, update);
    }
  }

  async function update(change: Change): Promise<UpdateResult> {
    const { filter, update: pipeline } = updateOf(change);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      if (mayBind(change.changes)) {
        const result = await bind(change, filter, pipeline);
        if (result !== undefined) return result;
      } else {
        const options = { ...joining, ...concernOf([change]) };
        const { matchedCount } = await sent(() => sessions.updateOne(filter, pipeline, options));
        if (matchedCount === 1) return "updated";
      }
      const [reason] = await reasonsFor([change]);
      if (reason !== undefined) return reason;
    }
    throw changingTooFast();
  }

  /** @returns `undefined` if nothing matched */
  async function bind(
    { id, nonce }: Change,
    filter: Filter<Stored>,
    pipeline: Document[],
  ): Promise<UpdateResult | undefined> {
    const projection = { userId: 1, unchecked: 1, refused: 1 };
    const options = { ...joining, returnDocument: "after", projection } as const;
    const found = await sent(() => sessions.findOneAndUpdate(filter, pipeline, options));
    if (found === null) return undefined;
    const after = namedIn(found, { ids: new Set([id]) });
    const isRefused = isUnchecked(after)
      ? (await check(after))?.refused === after.unchecked.by
      : after.refused === nonce;
    return isRefused ? "fenced" : "updated";
  }

  /** Finds out why changes did not match. `undefined`: the change may match at the next attempt. */
  async function reasonsFor(unmatched: readonly Change[]): Promise<(UpdateResult | undefined)[]> {
    const ids = new Set(unmatched.map(({ id }) => id));
    const pipeline = [{ $match: { _id: only(ids) } }, { $set: { alive: ALIVE } }, { $unset: "data" }];
    const found = await sent(() => sessions.aggregate(pipeline, joining).toArray());
    const named = found.map((document) => namedIn(document, { ids }));
    const byId = new Map(named.map((document) => [idOf(document), document]));
    const reasons: (UpdateResult | undefined)[] = [];
    for (const { id, changes, nonce } of unmatched) {
      const existing = byId.get(id);
      if (existing !== undefined && isUnchecked(existing)) {
        const after = await check(existing);
        if (existing.unchecked.by !== nonce) reasons.push(undefined);
        else reasons.push(after?.refused === nonce ? "fenced" : "updated");
      } else if (existing?.refused === nonce) reasons.push("fenced");
      else if (existing?.nonces?.includes(nonce)) reasons.push("updated");
      else if (!existing?.alive) reasons.push("gone");
      else {
        const { ifVersion } = changes;
        reasons.push(ifVersion === undefined || ifVersion === existing.version ? undefined : "conflict");
      }
    }
    return reasons;
  }

  /**
   * Ends sessions and returns how many were alive. If the update matched fewer than were found, perhaps
   * because it was sent twice, a query counts those with this call's nonce. It also finds sessions that are
   * left: on a sharded cluster, `updateMany` can miss a document whose chunk is moving (MongoDB manual,
   * `updateMany`).
   */
  async function endAll(
    userId: string,
    due: readonly Named[],
    { instant, setAt }: { readonly instant: number; readonly setAt: number },
  ): Promise<number> {
    if (due.length === 0) return 0;
    const nonce = newNonce();
    // Always `$in`: FerretDB 2.7 does not support $$NOW in an `updateMany` of a single `_id`.
    const ids = { $in: due.map(idOf) };
    const filter = { _id: ids, ...upTo(userId, instant) };
    const pipeline = endUsersSession(nonce, tombstoneMinimum);
    const options = { ...joining, projection: { userId: 1, authenticatedAt: 1, endedBy: 1 } };
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const { matchedCount } = await sent(() => sessions.updateMany(filter, pipeline, joining));
      if (attempt === 1 && matchedCount === due.length && !due.some(isUnchecked)) {
        return due.filter(({ expiresAt }) => millisecondsOf(expiresAt) > setAt).length;
      }
      const after = await sent(() => sessions.find({ _id: ids }, options).toArray());
      if (!after.some((one) => one.userId === userId && isUpTo(one, instant))) {
        return after.filter(({ endedBy }) => endedBy === nonce).length;
      }
    }
    throw new Fault("some sessions of the user were not ended in several attempts: call it again");
  }

  /** Makes an update that matches the live session unless it was already made. */
  function updateOf({ id, changes, nonce }: Change): { filter: Filter<Stored>; update: Document[] } {
    const { ifVersion } = changes;
    return {
      filter: {
        _id: id,
        ...(ifVersion === undefined ? {} : { version: ifVersion }),
        nonces: { $ne: nonce },
        unchecked: { $exists: false },
        $expr: ALIVE,
      },
      update: changeSession(changes, nonce, tombstoneMinimum),
    };
  }
}

/** A crash may lose touches, and nothing else. */
function concernOf(changes: readonly Change[]): { writeConcern?: { w: 1 } } {
  return changes.every((change) => isTouch(change.changes)) ? { writeConcern: { w: 1 } } : {};
}

/** Makes changes one by one. After an error that all would meet, the rest fail with it immediately. */
async function oneAfterAnother(
  changes: readonly Change[],
  make: (change: Change, index: number) => Promise<UpdateResult>,
): Promise<(UpdateResult | Error)[]> {
  const results: (UpdateResult | Error)[] = [];
  for (const [i, change] of changes.entries()) {
    const result = await make(change, i).catch((error: Error) => error);
    if (failsAll(result)) return [...results, ...changes.slice(i).map(() => result)];
    results.push(result);
  }
  return results;
}

function only(ids: ReadonlySet<string>): string | { $in: string[] } {
  const [first, ...others] = ids;
  return others.length === 0 ? first! : { $in: [...ids] };
}

/** Matches the user's sessions that a fence at this instant ends. */
function upTo(userId: string, instant: number): Filter<Stored> {
  return { userId, authenticatedAt: { $lte: new Date(instant) } };
}

function isUpTo({ authenticatedAt }: Stored, instant: number): boolean {
  return authenticatedAt === undefined || millisecondsOf(authenticatedAt) <= instant;
}

const END_BATCH = 500;

/** Enough for five million sessions. */
const MAX_PAGES = 10_000;

const SCAN_PAGE = 100;
