import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type {
  CreateResult,
  NewSession,
  RevokeUserOptions,
  SessionChanges,
  SessionRecord,
  UpdateResult,
} from "@tenure/core";
import { StoreError } from "@tenure/core";
import { withDeadline } from "@tenure/core/store";
import type { ClientSession, Document, Filter } from "mongodb";
import {
  type Asked,
  type Claim,
  claimOf,
  type Stored,
  fenceId,
  type StoredFence,
  toRecord,
  type Unchecked,
} from "./document.ts";
import { Fault, isAnswerLost, isDuplicate, mayBeOfOneWrite } from "./failure.ts";
import { type Handle, PLAIN } from "./handle.ts";
import {
  ALIVE,
  changeSession,
  checkBinding,
  endSession,
  endUsersSession,
  insertSession,
  insertTombstone,
  mayBind,
  setFence,
  writeFence,
} from "./pipelines.ts";

/** The contract in MongoDB's commands. They reject with what the driver threw, and their input is checked already. */
export interface Commands {
  readonly create: (session: NewSession) => Promise<CreateResult>;
  /** The live sessions of these ids. */
  readonly read: (ids: readonly string[]) => Promise<Map<string, SessionRecord>>;
  readonly update: (change: Change) => Promise<UpdateResult>;
  /** Joined updates. None of them may bind. */
  readonly updateAll: (changes: readonly Change[]) => Promise<(UpdateResult | Error)[]>;
  readonly revoke: (id: string) => Promise<boolean>;
  readonly revokeUser: (userId: string, options: RevokeUserOptions) => Promise<number>;
  readonly listUser: (userId: string) => Promise<SessionRecord[]>;
  readonly scan: (after: string | null) => Promise<ScanPage>;
  readonly now: () => Promise<number>;
}

/** The live sessions among some documents in the order of their ids. */
export interface ScanPage {
  readonly records: readonly SessionRecord[];
  /** The id after which the next page begins. `null` at the end. */
  readonly last: string | null;
}

/** One `update`, and the nonce that distinguishes it from every other. */
export interface Change {
  readonly id: string;
  readonly changes: SessionChanges;
  readonly nonce: string;
}

/** Marks a write. It stays in the document, so that the same command sent again finds that it was executed. */
export function newNonce(): string {
  writes += 1;
  return `${PROCESS}.${writes.toString(36)}`;
}

const PROCESS = randomBytes(9).toString("base64url");
let writes = 0;

/** A crash may lose a touch, and nothing else. */
export function isTouch({ data, userId, lifetime, authenticatedAt }: SessionChanges): boolean {
  return [data, userId, lifetime, authenticatedAt].every((given) => given === undefined);
}

/**
 * @param handle with the concerns of its reads and writes
 * @param tombstoneMinimum milliseconds
 * @param clientSession all commands are part of it, in a transaction or not
 */
export function commands(
  { database, sessions, limits }: Handle,
  tombstoneMinimum: number,
  clientSession?: ClientSession,
): Commands {
  // A transaction's read preference overrides the handle's, and the driver refuses any but the primary there.
  const joining =
    clientSession === undefined ? {} : ({ session: clientSession, readPreference: "primary" } as const);

  return {
    async create(session) {
      const { id, userId } = session;
      const nonce = newNonce();
      for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
        // E11000 would abort a transaction, and `withTransaction` would run it again and again: look first.
        let there = inTransaction() ? await lookUp(id) : null;
        if (there === null || there.vacant) {
          const isInserted = await insert(id, insertSession(session, nonce));
          if (!isInserted) there = await lookUp(id);
          if (isInserted || there?.nonces?.includes(nonce)) {
            return userId === null || (await checkCreated(id, userId, nonce)) ? "created" : "fenced";
          }
          if (there === null) throw new Fault("a unique index other than that of _id refused the session");
        }
        if (isUnchecked(there)) await check(id, there.userId, there.unchecked.by);
        else if (!there.vacant) return "taken";
      }
      throw changingTooFast();
    },

    async read(ids) {
      const filter = { _id: only(ids), $expr: ALIVE };
      const options = { ...joining, projection: { nonces: 0 }, batchSize: ids.length + 1 };
      const found = await checked({ ids: new Set(ids) }, () => sessions.find(filter, options).toArray());
      return new Map(found.map(toRecord).map((record) => [record.id, record]));
    },

    update,

    // Of several updates of one id, each is in a command of its own: a document has few nonces by which to tell them apart.
    async updateAll(changes) {
      const results = new Map<Change, UpdateResult | Error>();
      let left = changes;
      while (left.length > 0) {
        const firsts = [...new Map(left.toReversed().map((change) => [change.id, change])).values()];
        try {
          const outcomes = await updateTogether(firsts);
          for (const [i, change] of firsts.entries()) results.set(change, outcomes[i]!);
        } catch (error) {
          for (const change of left) results.set(change, error as Error);
        }
        left = left.filter((change) => !results.has(change));
      }
      return changes.map((change) => results.get(change)!);
    },

    async revoke(id) {
      const nonce = newNonce();
      const filter = { _id: id, unchecked: { $exists: false } };
      const pipeline = endSession(nonce, tombstoneMinimum);
      const options = { ...joining, returnDocument: "after", projection: { endedBy: 1 } } as const;
      for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
        const ended = await sent(() => sessions.findOneAndUpdate(filter, pipeline, options));
        if (ended !== null) return "endedBy" in ended && ended.endedBy === nonce;
        const there = await lookUp(id);
        if (there === null) {
          if (await insert(id, insertTombstone(id, tombstoneMinimum))) return false;
        } else if (isUnchecked(there)) await check(id, there.userId, there.unchecked.by);
      }
      throw changingTooFast();
    },

    async revokeUser(userId, { except, authenticatedUpTo }) {
      const { fence, setAt } = await raiseFence(userId, authenticatedUpTo);
      const setAtHere = performance.now();
      const instant = authenticatedUpTo ?? fence;
      let ended = 0;
      for (let page = await pageOf(userId, { $gte: "" }); ;) {
        const due = page.filter(
          ({ _id, authenticatedAt }) => _id !== except && authenticatedAt.getTime() <= instant,
        );
        ended += await endPage(userId, due, { instant, setAt });
        const [last] = page.slice(-1).map(({ _id }) => _id);
        if (page.length < PAGE || last === undefined) break;
        page = await pageOf(userId, { $gt: last });
      }
      // By this process's steady clock: the reply arrived after the server's clock showed `setAt`.
      const wait = instant + 1 - setAt - (performance.now() - setAtHere);
      if (wait > 0) await sleep(wait + 1);
      return ended;
    },

    async listUser(userId) {
      const filter = { userId, $expr: ALIVE };
      const options = { ...joining, projection: { nonces: 0 } };
      const found = await checked({ userId }, () => sessions.find(filter, options).toArray());
      return found.map(toRecord).toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async scan(after) {
      const from = after === null ? { $gte: "" } : { $gt: after };
      const page = [{ $match: { _id: from } }, { $sort: { _id: 1 } }, { $limit: SCANNED }];
      const pipeline = [...page, { $set: { alive: ALIVE } }, { $unset: "nonces" }];
      const options = { ...joining, batchSize: SCANNED + 1 };
      const found = await checked({}, () => sessions.aggregate(pipeline, options).toArray());
      const last = found.at(-1)?.["_id"] ?? null;
      return { records: found.filter((document) => document["alive"]).map(toRecord), last };
    },

    now,
  };

  /** The clock that the pipelines compare with. The `localTime` of `hello` is another: FerretDB 2.7 rounds it down, and `$$NOW` up. */
  async function now(): Promise<number> {
    const options = { readPreference: "primary", ...PLAIN } as const;
    // A stage of its own: FerretDB does not know `$$NOW` within `$documents`.
    const pipeline = [{ $documents: [{}] }, { $project: { now: "$$NOW" } }];
    const reply = await sent(() => database.command({ aggregate: 1, pipeline, cursor: {} }, options));
    const [first] = (reply as { cursor?: { firstBatch?: readonly Document[] } }).cursor?.firstBatch ?? [];
    const time: unknown = first?.["now"];
    if (time instanceof Date) return time.getTime();
    throw new StoreError("now", "MongoDB's reply is not a time");
  }

  /** @returns `false` if there is a document of this id already */
  async function insert(id: string, pipeline: Document[]): Promise<boolean> {
    const options = { ...joining, upsert: true };
    try {
      // Matches no session and no tombstone, so that it inserts or is refused (E11000). The id stays an equality, by which mongos routes.
      await sent(() => sessions.updateOne({ _id: id, vacant: true }, pipeline, options));
      return true;
    } catch (error) {
      if (!isDuplicate(error) || inTransaction()) throw error;
      return false;
    }
  }

  /** One command for updates of different ids. */
  async function updateTogether(changes: readonly Change[]): Promise<(UpdateResult | Error)[]> {
    const [first] = changes;
    if (changes.length === 1 && first) return oneAfterAnother([() => update(first)]);
    // In one order everywhere: a server that keeps its locks to the end of a bulk write would deadlock (FerretDB 2.7).
    const inOrder = changes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const operations = inOrder.map((each) => ({ updateOne: updateOf(each) }));
    const options = { ...joining, ordered: false, ...concernOf(changes) };
    try {
      const { matchedCount } = await sent(() => sessions.bulkWrite(operations, options));
      if (matchedCount === changes.length) return changes.map(() => "updated" as const);
    } catch (error) {
      // One update's error must not reject the others, and servers differ on which update they say it is.
      if (isAnswerLost(error) || !mayBeOfOneWrite(error)) throw error;
      return oneAfterAnother(changes.map((change) => () => update(change)));
    }
    const reasons = await whyNot(changes);
    return oneAfterAnother(changes.map((change, i) => async () => reasons[i] ?? update(change)));
  }

  async function update(change: Change): Promise<UpdateResult> {
    const { filter, update: pipeline } = updateOf(change);
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
      if (mayBind(change.changes)) {
        const result = await bind(change, filter, pipeline);
        if (result !== undefined) return result;
      } else {
        const options = { ...joining, ...concernOf([change]) };
        const { matchedCount } = await sent(() => sessions.updateOne(filter, pipeline, options));
        if (matchedCount === 1) return "updated";
      }
      const [reason] = await whyNot([change]);
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
    const after: Found = found as Document;
    claimOf(after, { ids: new Set([id]) });
    if (after.refused === nonce) return "fenced";
    return !isUnchecked(after) || (await check(id, after.userId, nonce)) ? "updated" : "fenced";
  }

  /** Why a change did not match. `undefined`: it would match by now. */
  async function whyNot(unmatched: readonly Change[]): Promise<(UpdateResult | undefined)[]> {
    const ids = new Set(unmatched.map(({ id }) => id));
    const pipeline = [{ $match: { _id: only([...ids]) } }, { $set: { alive: ALIVE } }, { $unset: "data" }];
    const found: Found[] = await sent(() => sessions.aggregate<Found>(pipeline, joining).toArray());
    const byId = new Map<string, Found>();
    for (const document of found) {
      const { _id } = claimOf(document, { ids });
      byId.set(_id, document);
    }
    const reasons: (UpdateResult | undefined)[] = [];
    for (const { id, changes, nonce } of unmatched) {
      const there = byId.get(id);
      if (there !== undefined && isUnchecked(there)) {
        const isFine = await check(id, there.userId, there.unchecked.by);
        const isOurs = there.unchecked.by === nonce;
        reasons.push(isOurs ? (isFine ? "updated" : "fenced") : undefined);
      } else if (there?.refused === nonce) reasons.push("fenced");
      else if (there?.nonces?.includes(nonce)) reasons.push("updated");
      else if (!there?.alive) reasons.push("gone");
      else {
        const { ifVersion } = changes;
        reasons.push(ifVersion === undefined || ifVersion === there.version ? undefined : "conflict");
      }
    }
    return reasons;
  }

  /**
   * Compares an unchecked binding with the user's fence, and ends the session or marks it as checked. The caller of a create
   * or update does it, and so does every other call that meets the binding first.
   *
   * @returns `false` if the fence refused it
   */
  async function check(id: string, userId: string, by: string): Promise<boolean> {
    return (await decide(id, userId, by))?.refused !== by;
  }

  /**
   * As `check`, for a session that a create inserted. If another call has decided meanwhile and refused it, a third may have created a session under the
   * id, which was free again. So the session that is there must be the one that was inserted.
   */
  async function checkCreated(id: string, userId: string, by: string): Promise<boolean> {
    const after = await decide(id, userId, by);
    return after !== null && after.refused !== by && after.nonces?.includes(by) === true;
  }

  /** Compares an unchecked binding with the fence, if that was not done yet. Resolves to what is there afterwards. */
  async function decide(id: string, userId: string, by: string): Promise<Found | null> {
    const pipeline = checkBinding(await fenceOf(userId), tombstoneMinimum);
    const options = { ...joining, returnDocument: "after", projection: { refused: 1, nonces: 1 } } as const;
    const filter: Document = { _id: id, "unchecked.by": by };
    const found = await sent(() => sessions.findOneAndUpdate(filter, pipeline, options));
    return found === null ? await lookUp(id) : (found as Document);
  }

  /** Epoch milliseconds, or -1 if the user has no fence. */
  async function fenceOf(userId: string): Promise<number> {
    const found = inTransaction()
      ? await upsertFence(userId, writeFence(newNonce(), tombstoneMinimum))
      : await sent(() => sessions.findOne<StoredFence>({ _id: fenceId(userId) }, joining));
    return found === null ? -1 : (fenceIn(found, userId)?.getTime() ?? -1);
  }

  async function raiseFence(
    userId: string,
    instant: number | undefined,
  ): Promise<{ fence: number; setAt: number }> {
    const found = await upsertFence(userId, setFence(instant, tombstoneMinimum));
    return { fence: fenceIn(found, userId)!.getTime(), setAt: found!.setAt!.getTime() };
  }

  async function upsertFence(userId: string, pipeline: Document[]): Promise<StoredFence | null> {
    const filter = { _id: fenceId(userId) };
    const options = { ...joining, upsert: true, returnDocument: "after" } as const;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const found = await sent(() => sessions.findOneAndUpdate(filter, pipeline, options));
        // Of two upserts that race, SecantusDB 0.7 may return null to one.
        if (found !== null || attempt === MOST_ATTEMPTS) return found as StoredFence | null;
      } catch (error) {
        // A mongod may refuse one.
        if (!isDuplicate(error) || inTransaction() || attempt === MOST_ATTEMPTS) throw error;
      }
      await sleep(attempt * 20 * Math.random());
    }
  }

  async function pageOf(userId: string, from: Filter<string>): Promise<Paged[]> {
    const projection = { userId: 1, authenticatedAt: 1, expiresAt: 1, unchecked: 1 };
    const options = { ...joining, projection, sort: { _id: 1 }, limit: PAGE, batchSize: PAGE + 1 } as const;
    const page = await sent(() => sessions.find<Paged>({ userId, _id: from }, options).toArray());
    for (const document of page) claimOf(document, { userId });
    return page;
  }

  /**
   * Ends sessions and counts those that were alive. If the update matched fewer than were found, or was sent twice, a second
   * look counts those that carry this call's nonce. It also shows whether any is left: on a sharded cluster an update of many
   * can miss a document whose chunk moves meanwhile (MongoDB's manual on `updateMany`).
   */
  async function endPage(
    userId: string,
    due: readonly Paged[],
    { instant, setAt }: { readonly instant: number; readonly setAt: number },
  ): Promise<number> {
    if (due.length === 0) return 0;
    const nonce = newNonce();
    const ids = due.map(({ _id }) => _id);
    // Always `$in`: FerretDB 2.7 knows no $$NOW in an `updateMany` of one `_id`.
    const filter = { _id: { $in: ids }, userId, authenticatedAt: { $lte: new Date(instant) } };
    const pipeline = endUsersSession(nonce, tombstoneMinimum);
    for (let round = 1; round <= MOST_ATTEMPTS; round += 1) {
      const { matchedCount } = await sent(() => sessions.updateMany(filter, pipeline, joining));
      if (round === 1 && matchedCount === ids.length && !due.some(isUnchecked)) {
        return due.filter(({ expiresAt }) => expiresAt.getTime() > setAt).length;
      }
      const projection = { userId: 1, authenticatedAt: 1, endedBy: 1 };
      const after = await sent(() =>
        sessions.find<Found>({ _id: { $in: ids } }, { ...joining, projection }).toArray(),
      );
      const isLeft = (one: Found): boolean =>
        one.userId === userId && (one.authenticatedAt?.getTime() ?? 0) <= instant;
      if (!after.some(isLeft)) return after.filter(({ endedBy }) => endedBy === nonce).length;
    }
    throw new Fault("sessions of the user are left after several attempts to end them: call it again");
  }

  /** Queries until none of the documents found has an unchecked binding, and checks those that have. */
  async function checked(asked: Asked, query: () => Promise<Document[]>): Promise<Document[]> {
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
      const found = await sent(query);
      const unchecked = found.map((document) => claimOf(document, asked)).filter(isUnchecked);
      if (unchecked.length === 0) return found;
      for (const { _id, userId, unchecked: binding } of unchecked) await check(_id, userId, binding.by);
    }
    throw changingTooFast();
  }

  async function lookUp(id: string): Promise<Found | null> {
    const found = await sent(() =>
      sessions.findOne<Found>({ _id: id }, { ...joining, projection: { data: 0 } }),
    );
    if (found !== null) claimOf(found, { ids: new Set([id]) });
    return found;
  }

  /** Sends a command that may be sent twice, and sends it again if its reply may have been lost. */
  async function sent<Reply>(command: () => Promise<Reply>): Promise<Reply> {
    try {
      return await limited(command());
    } catch (error) {
      // A transaction is run again as a whole.
      if (inTransaction() || !isAnswerLost(error)) throw error;
      return await limited(command());
    }
  }

  function limited<Reply>(reply: Promise<Reply>): Promise<Reply> {
    const { command } = limits;
    return command === undefined ? reply : withDeadline(reply, command.ms, command.late);
  }

  function inTransaction(): boolean {
    return clientSession?.inTransaction() ?? false;
  }

  /** Matches the live session to which this very change was not made yet. */
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

function concernOf(changes: readonly Change[]): { writeConcern?: { w: 1 } } {
  return changes.every((change) => isTouch(change.changes)) ? { writeConcern: { w: 1 } } : {};
}

/** Never many commands at once: a server that refuses all of them is not flooded. */
async function oneAfterAnother<Result>(
  calls: readonly (() => Promise<Result>)[],
): Promise<(Result | Error)[]> {
  const results: (Result | Error)[] = [];
  for (const call of calls) results.push(await call().catch((error: Error) => error));
  return results;
}

function only(ids: readonly string[]): string | { $in: string[] } {
  const [id] = ids;
  return ids.length === 1 && id !== undefined ? id : { $in: [...ids] };
}

function isUnchecked<Some extends { readonly userId?: unknown; readonly unchecked?: unknown }>(
  found: Some,
): found is Some & { readonly userId: string; readonly unchecked: Unchecked } {
  return found.unchecked !== undefined;
}

function changingTooFast(): Fault {
  return new Fault("other calls change the session again and again meanwhile: try again later");
}

/** A document of any kind, or a part of one. */
interface Found extends Partial<Claim> {
  readonly authenticatedAt?: Date;
  readonly version?: number;
  readonly nonces?: readonly string[];
  readonly endedBy?: string;
  readonly refused?: string;
  readonly vacant?: true;
  readonly alive?: boolean;
}

interface Paged extends Claim {
  readonly authenticatedAt: Date;
  readonly expiresAt: Date;
}

function fenceIn(found: StoredFence | null, userId: string): Date | undefined {
  if (found?.["_id"]?.user !== fenceId(userId).user) throw new Fault("the reply is not the user's fence");
  return found.fence;
}

/** Each attempt after the first is due to a change that another call made at that very moment. */
const MOST_ATTEMPTS = 10;

/** Sessions that one command of `revokeUser` ends. */
const PAGE = 500;

/** Documents that one command of `scan` reads. */
const SCANNED = 100;
