import { setTimeout as sleep } from "node:timers/promises";
import type { SessionRecord } from "@tenure/core";
import { Fault } from "@tenure/core/store";
import type { Document } from "mongodb";
import {
  decodeRecord,
  fenceId,
  idOf,
  millisecondsOf,
  type Named,
  namedIn,
  notASession,
  type Selection,
  type Stored,
  type Unchecked,
} from "./document.ts";
import { failsAll, isDuplicate } from "./failure.ts";
import { newNonce } from "./nonce.ts";
import { checkBinding, setFence, writeFence } from "./pipelines.ts";
import type { Sender } from "./sender.ts";

/**
 * Compares the bindings of sessions to users with the users' fences.
 *
 * MongoDB changes one document atomically, but a login concerns two: the session and the user's fence. So a
 * create or update that binds a session marks the binding as `unchecked`, and then compares it with the
 * fence:
 *
 * ```
 * login        1. write the session, unchecked   2. read the fence               3. end it, or unmark it
 * revokeUser   1. raise the fence                2. find the sessions, by page   3. end them
 * ```
 * Either `revokeUser` finds the session, or the login reads the raised fence. The login's step 3 decides. It
 * requires that the binding is still there, so it does nothing to a session that `revokeUser` ended in
 * between.
 *
 * A crash after the login's step 1, or a step 1 that arrives late, leaves an unchecked binding. It is never
 * readable: **each call that meets an unchecked binding takes steps 2 and 3 before it returns.** By the time
 * a fence may be forgotten, an instant given at the login is older than the tombstone minimum, and step 3
 * refuses it for that. A crash of `revokeUser` leaves the fence raised and some sessions alive, which the
 * next `revokeUser` ends.
 *
 * In a transaction, step 2 also writes the fence's document, so that the transaction conflicts with a
 * `revokeUser` that it cannot see.
 */
export interface Bindings {
  /**
   * Compares an unchecked binding with the user's fence, and ends the session or removes `unchecked`. Called
   * by the create or update that bound the session, and by any other call that meets the binding first.
   *
   * @returns the document afterwards, even if another call decided. If the fence refused the binding,
   *   `refused` is its nonce
   */
  readonly check: (session: UncheckedSession) => Promise<Stored | null>;
  /**
   * Runs a query and checks the unchecked bindings that it finds, until only those whose check fails are
   * left.
   */
  readonly checked: (selection: Selection, query: () => Promise<Document[]>) => Promise<Checked>;
  /** Returns the document of an id, without its data. */
  readonly lookUp: (id: string) => Promise<Named | null>;
  /** Raises the user's fence to an instant, or to now. Returns the fence. */
  readonly raiseFence: (userId: string, instant: number | undefined) => Promise<Stored>;
}

/** A session whose binding has not been compared with the user's fence. */
export interface UncheckedSession extends Named {
  readonly unchecked: Unchecked;
}

export interface Checked {
  readonly found: readonly Named[];
  /**
   * Returns the record of a found document. Throws if its binding could not be checked, or it is not a
   * session.
   */
  readonly recordOf: (document: Named) => SessionRecord;
}

export function bindingsOn(
  { sessions, joining, sent, inTransaction }: Sender,
  tombstoneMinimum: number,
): Bindings {
  return { check, checked, lookUp, raiseFence };

  async function check({ _id: id, userId, unchecked }: UncheckedSession): Promise<Stored | null> {
    const by: unknown = unchecked?.by;
    if (typeof userId !== "string" || typeof by !== "string") throw notASession();
    const pipeline = checkBinding(await fenceOf(userId), tombstoneMinimum);
    const options = { ...joining, returnDocument: "after", projection: { refused: 1, nonces: 1 } } as const;
    const filter: Document = { _id: id, "unchecked.by": by };
    return (await sent(() => sessions.findOneAndUpdate(filter, pipeline, options))) ?? (await lookUp(id));
  }

  /** Returns epoch milliseconds, or -1 if the user has no fence. */
  async function fenceOf(userId: string): Promise<number> {
    const found = inTransaction()
      ? await upsertFence(userId, writeFence(newNonce(), tombstoneMinimum))
      : await sent(() => sessions.findOne({ _id: fenceId(userId) }, joining));
    if (found === null) return -1;
    const { fence } = fenceIn(found, userId);
    return fence === undefined ? -1 : millisecondsOf(fence);
  }

  async function upsertFence(userId: string, pipeline: Document[]): Promise<Stored> {
    const filter = { _id: fenceId(userId) };
    const options = { ...joining, upsert: true, returnDocument: "after" } as const;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const found = await sent(() => sessions.findOneAndUpdate(filter, pipeline, options));
        // SecantusDB 0.7 may return null to one of two racing upserts.
        if (found !== null || attempt === MAX_ATTEMPTS) return fenceIn(found, userId);
      } catch (error) {
        // mongod may refuse one of two racing upserts.
        if (!isDuplicate(error) || inTransaction() || attempt === MAX_ATTEMPTS) throw error;
      }
      await sleep(attempt * 20 * Math.random());
    }
  }

  async function checked(selection: Selection, query: () => Promise<Document[]>): Promise<Checked> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const found = (await sent(query)).map((document) => namedIn(document, selection));
      const unchecked = found.filter(isUnchecked);
      const failures = new Map<string, Error>();
      for (const each of unchecked) {
        try {
          await check(each);
        } catch (error) {
          if (inTransaction() || failsAll(error)) throw error;
          failures.set(idOf(each), error as Error);
        }
      }
      if (unchecked.length > failures.size) continue;
      const recordOf = (document: Named): SessionRecord => {
        const failure = failures.get(idOf(document));
        if (failure !== undefined) throw failure;
        return decodeRecord(document);
      };
      return { found, recordOf };
    }
    throw changingTooFast();
  }

  async function lookUp(id: string): Promise<Named | null> {
    const found = await sent(() => sessions.findOne({ _id: id }, { ...joining, projection: { data: 0 } }));
    return found === null ? null : namedIn(found, { ids: new Set([id]) });
  }

  function raiseFence(userId: string, instant: number | undefined): Promise<Stored> {
    return upsertFence(userId, setFence(instant, tombstoneMinimum));
  }
}

export function isUnchecked(found: Named): found is UncheckedSession {
  return found.unchecked !== undefined;
}

/** @throws Fault if it is not the user's fence */
function fenceIn(found: Stored | null, userId: string): Stored {
  const { _id: id } = found ?? {};
  if (found === null || typeof id !== "object" || id.user !== fenceId(userId).user) {
    throw new Fault("the reply is not the user's fence");
  }
  return found;
}

export function changingTooFast(): Fault {
  return new Fault("other calls keep changing the session: try again later");
}

/** Each attempt after the first is due to a concurrent change. */
export const MAX_ATTEMPTS = 10;
