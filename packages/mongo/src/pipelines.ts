import type { NewSession, SessionChanges } from "@tenure/core";
import type { Document } from "mongodb";

/**
 * Whether a session lives, by the server's clock. `$$NOW` stands still from the start of a command, also of one that
 * waits for a lock: what that means, and what is done about it, is at {@link seal}.
 */
export const ALIVE: Document = { $gt: ["$expiresAt", "$$NOW"] };

const IS_SESSION: Document = { $ne: [{ $type: "$expiresAt" }, "missing"] };

/**
 * Matches no document, since none has that field, so that an upsert with it can only insert: two that race can't turn into
 * updates, and the loser is refused with E11000. The id stays an equality that mongos can route by; a filter that is false
 * by itself could be simplified until no id is left in it.
 */
export function insertOnly(id: string): Document {
  return { _id: id, inserting: { $exists: true } };
}

export function insertSession(session: NewSession, nonce: string): Document[] {
  const { id, userId, data, idle, lifetime, createdAt } = session;
  // No Date reaches further, and what is later than the server's clock is now.
  const began =
    createdAt === undefined
      ? "$$NOW"
      : { $min: ["$$NOW", literal(new Date(Math.min(createdAt, LAST_DATE)))] };
  const endsAt = { $add: [began, literal(lifetime)] };
  return [
    {
      $replaceWith: {
        _id: literal(id),
        ...(userId === null ? {} : { userId: literal(userId) }),
        data: literal(data),
        version: literal(1),
        createdAt: began,
        touchedAt: "$$NOW",
        idle: literal(idle),
        expiresAt: { $min: [{ $add: ["$$NOW", literal(idle)] }, endsAt] },
        endsAt,
        nonces: [literal(nonce)],
      },
    },
  ];
}

/** Changes a session and restarts its idle timeout. Whether it may is for the filter to say. */
export function changeSession({ data, userId, idle }: SessionChanges, nonce: string): Document[] {
  return [
    {
      $set: {
        ...(data === undefined ? {} : { data: literal(data) }),
        ...(userId === undefined ? {} : { userId: userId === null ? "$$REMOVE" : literal(userId) }),
        ...(data === undefined && userId === undefined ? {} : { version: { $add: ["$version", 1] } }),
        ...(idle === undefined ? {} : { idle: literal(idle) }),
        // A write that waited has an older clock than one that went ahead of it.
        touchedAt: { $max: ["$touchedAt", "$$NOW"] },
        nonces: { $slice: [{ $concatArrays: [[literal(nonce)], "$nonces"] }, NONCES] },
      },
    },
    { $set: { expiresAt: { $min: [{ $add: ["$touchedAt", "$idle"] }, "$endsAt"] } } },
  ];
}

/**
 * Leaves a live session as it is and marks an expired one as dead.
 *
 * An update that began before `expiresAt` and then waited past it still sees the session alive and revives it. So whoever
 * finds a session expired seals it before he says so: what was seen dead once is dead for ever.
 */
export const seal: Document[] = [
  {
    $replaceWith: {
      $cond: [
        { $and: [IS_SESSION, { $not: [ALIVE] }] },
        { _id: "$_id", endsAt: "$endsAt", nonces: "$nonces" },
        "$$ROOT",
      ],
    },
  },
];

/** Leaves a tombstone of whatever is there; `endedBy` is the nonce only if it was alive, and then for good. */
export function endSession(nonce: string, tombstoneMinimum: number): Document[] {
  return [
    {
      $replaceWith: {
        _id: "$_id",
        userId: { $cond: [IS_SESSION, "$$REMOVE", "$userId"] },
        endedBy: { $cond: [ALIVE, literal(nonce), "$endedBy"] },
        endsAt: { $max: ["$endsAt", { $add: ["$$NOW", literal(tombstoneMinimum)] }] },
        nonces: "$nonces",
      },
    },
  ];
}

export function insertTombstone(id: string, tombstoneMinimum: number): Document[] {
  const endsAt = { $add: ["$$NOW", literal(tombstoneMinimum)] };
  return [{ $replaceWith: { _id: literal(id), endsAt, nonces: [] } }];
}

/**
 * Leaves a tombstone of a user's session, alive or expired: an update that waited could still revive an expired one. Only
 * where it was alive the nonce takes the user's place, to be counted.
 */
export function endUsersSession(nonce: string, tombstoneMinimum: number): Document[] {
  return [
    {
      $replaceWith: {
        _id: "$_id",
        userId: { $cond: [ALIVE, { endedBy: literal(nonce) }, "$$REMOVE"] },
        endsAt: { $max: ["$endsAt", { $add: ["$$NOW", literal(tombstoneMinimum)] }] },
        nonces: "$nonces",
      },
    },
  ];
}

/**
 * A resent write finds its own nonce unless as many others came between. Each costs some 27 bytes that every touch writes
 * again, and more would hardly ever help: so many must write one session within one repetition, and what has an `ifVersion`
 * is not made twice even then.
 */
const NONCES = 8;

/** Epoch milliseconds (ECMAScript: Time Values and Time Range). */
const LAST_DATE = 8.64e15;

/** Every value from outside: nothing in it is an expression, a field or a variable. */
function literal(value: string | number | Date): Document {
  return { $literal: value };
}
