import type { NewSession, SessionChanges } from "@tenure/core";
import { makesNewVersion } from "@tenure/core/store";
import type { Document } from "mongodb";

/** `$$NOW` is fixed when a command begins, even if the command then waits for a lock. */
export const ALIVE: Document = { $gt: ["$expiresAt", "$$NOW"] };

/** Whether an update may bind. Whether it does depends on the stored user. */
export function mayBind({ userId, authenticatedAt }: SessionChanges): boolean {
  return typeof userId === "string" || authenticatedAt !== undefined;
}

export function insertSession(session: NewSession, nonce: string): Document[] {
  const { id, userId, data, idle, lifetime, authenticatedAt } = session;
  const endsAt = { $add: ["$$NOW", literal(lifetime)] };
  const binding = {
    userId: literal(userId ?? ""),
    authenticatedAt: authenticatedAt === undefined ? "$$NOW" : notAfterNow(authenticatedAt),
    unchecked: unchecked(nonce, authenticatedAt),
  };
  return [
    {
      $replaceWith: {
        _id: literal(id),
        v: literal(1),
        ...(userId === null ? {} : binding),
        data: literal(data),
        version: literal(1),
        createdAt: "$$NOW",
        touchedAt: "$$NOW",
        idle: literal(idle),
        expiresAt: { $min: [{ $add: ["$$NOW", literal(idle)] }, endsAt] },
        endsAt,
        nonces: [literal(nonce)],
      },
    },
  ];
}

/** The filter ensures that the session is alive and of the right version. */
export function changeSession(changes: SessionChanges, nonce: string, tombstoneMinimum: number): Document[] {
  const { data, idle, lifetime, authenticatedAt, touch = true } = changes;
  return [
    {
      $set: {
        ...(data === undefined ? {} : { data: literal(data) }),
        ...bindingOf(changes, nonce),
        ...(makesNewVersion(changes) ? { version: { $add: ["$version", 1] } } : {}),
        ...(idle === undefined ? {} : { idle: literal(idle) }),
        ...(lifetime === undefined ? {} : { endsAt: { $add: ["$$NOW", literal(lifetime)] } }),
        // A command that waited has an older `$$NOW` than one that overtook it.
        ...(touch ? { touchedAt: { $max: ["$touchedAt", "$$NOW"] } } : {}),
        nonces: { $slice: [{ $concatArrays: [[literal(nonce)], "$nonces"] }, NONCES] },
      },
    },
    { $set: { expiresAt: { $min: [{ $add: ["$touchedAt", "$idle"] }, "$endsAt"] } } },
    ...(authenticatedAt === undefined
      ? []
      : [
          refuseIf(
            { $and: [exists("$userId"), isTooOld(notAfterNow(authenticatedAt), tombstoneMinimum)] },
            literal(nonce),
            tombstoneMinimum,
          ),
        ]),
  ];
}

/** The fields of an update that bind the session to its user, or unbind it. */
function bindingOf({ userId, authenticatedAt }: SessionChanges, nonce: string): Document {
  const at = authenticatedAt === undefined ? "$$NOW" : notAfterNow(authenticatedAt);
  const latest = { $max: ["$authenticatedAt", at] };
  if (userId === null) return { userId: "$$REMOVE", authenticatedAt: "$$REMOVE" };
  if (userId === undefined) {
    if (authenticatedAt === undefined) return {};
    return { authenticatedAt: { $cond: [exists("$userId"), latest, "$$REMOVE"] } };
  }
  const isSame = { $eq: ["$userId", literal(userId)] };
  return {
    userId: literal(userId),
    authenticatedAt: authenticatedAt === undefined ? { $cond: [isSame, "$authenticatedAt", latest] } : latest,
    unchecked: { $cond: [isSame, "$$REMOVE", unchecked(nonce, authenticatedAt)] },
  };
}

/**
 * Compares an unchecked binding with the user's fence, and ends the session or removes `unchecked`.
 *
 * @param fence epoch milliseconds, or -1 if the user has none
 */
export function checkBinding(fence: number, tombstoneMinimum: number): Document[] {
  const given = "$unchecked.given";
  const isBefore = { $lte: [given, literal(new Date(fence))] };
  const isRefused = { $and: [exists(given), { $or: [isBefore, isTooOld(given, tombstoneMinimum)] }] };
  const afterFence = { $max: ["$authenticatedAt", literal(new Date(fence + 1))] };
  return [
    { $set: { authenticatedAt: { $cond: [exists(given), "$authenticatedAt", afterFence] } } },
    refuseIf(isRefused, "$unchecked.by", tombstoneMinimum),
    { $unset: "unchecked" },
  ];
}

/**
 * Raises a user's fence to an instant, or to now. Now is later than the previous fence, so that sessions that
 * count as made after that fence are ended too. The fence is kept for twice as long as needed, because clocks
 * differ.
 */
export function setFence(instant: number | undefined, tombstoneMinimum: number): Document[] {
  const now = { $max: ["$$NOW", { $add: ["$fence", 1] }] };
  const fence = instant === undefined ? now : { $max: ["$fence", literal(new Date(instant))] };
  const endsAt = { $max: ["$endsAt", { $add: ["$fence", literal(2 * tombstoneMinimum)] }] };
  return [{ $set: { v: literal(1), fence, setAt: "$$NOW" } }, { $set: { endsAt } }];
}

/**
 * Leaves the fence as it is. The write makes the transaction conflict with a `revokeUser` that it cannot see.
 */
export function writeFence(nonce: string, tombstoneMinimum: number): Document[] {
  const endsAt = { $max: ["$endsAt", { $add: ["$$NOW", literal(tombstoneMinimum)] }] };
  return [{ $set: { v: literal(1), boundBy: literal(nonce), endsAt } }];
}

/** Turns any document into a tombstone. `endedBy` becomes the nonce only if the session was alive. */
export function endSession(nonce: string, tombstoneMinimum: number): Document[] {
  const endedBy = { $cond: [ALIVE, literal(nonce), "$endedBy"] };
  return [{ $replaceWith: tombstone({ endedBy, refused: "$refused" }, tombstoneMinimum) }];
}

export function insertTombstone(id: string, tombstoneMinimum: number): Document[] {
  const endsAt = { $add: ["$$NOW", literal(tombstoneMinimum)] };
  return [{ $replaceWith: { _id: literal(id), v: literal(1), endsAt, nonces: [] } }];
}

/**
 * Ends sessions. Expired ones are included, because an update that waits for a lock could still extend them.
 * A binding whose given instant is unchecked is refused instead.
 */
export function endUsersSession(nonce: string, tombstoneMinimum: number): Document[] {
  const ended = tombstone({ endedBy: { $cond: [ALIVE, literal(nonce), "$$REMOVE"] } }, tombstoneMinimum);
  const refused = refusal("$unchecked.by", tombstoneMinimum);
  return [{ $replaceWith: { $cond: [exists("$unchecked.given"), refused, ended] } }];
}

function refuseIf(condition: Document, by: Document | string, tombstoneMinimum: number): Document {
  return { $replaceWith: { $cond: [condition, refusal(by, tombstoneMinimum), "$$ROOT"] } };
}

/** A refused create leaves its id vacant. Only a create has version 1 while its binding is unchecked. */
function refusal(by: Document | string, tombstoneMinimum: number): Document {
  const vacant = { $cond: [{ $eq: ["$version", 1] }, true, "$$REMOVE"] };
  return tombstone({ refused: by, vacant }, tombstoneMinimum);
}

function tombstone(marks: Document, tombstoneMinimum: number): Document {
  const endsAt = { $max: ["$endsAt", { $add: ["$$NOW", literal(tombstoneMinimum)] }] };
  return { _id: "$_id", v: literal(1), ...marks, endsAt, nonces: "$nonces" };
}

function unchecked(nonce: string, authenticatedAt: number | undefined): Document {
  const given = authenticatedAt === undefined ? {} : { given: notAfterNow(authenticatedAt) };
  return { by: literal(nonce), ...given };
}

function isTooOld(instant: Document | string, tombstoneMinimum: number): Document {
  return { $lte: [instant, { $subtract: ["$$NOW", literal(tombstoneMinimum)] }] };
}

function notAfterNow(instant: number): Document {
  return { $min: ["$$NOW", literal(new Date(Math.min(instant, LAST_DATE)))] };
}

function exists(path: string): Document {
  return { $ne: [{ $type: path }, "missing"] };
}

/**
 * A resent write finds its nonce unless this many others came between. Each costs 27 bytes, which touches
 * rewrite.
 */
const NONCES = 8;

/** Epoch milliseconds (ECMAScript: Time Values and Time Range). */
const LAST_DATE = 8.64e15;

/** Wraps every value from outside, so that none is taken for an expression, a field or a variable. */
function literal(value: string | number | Date): Document {
  return { $literal: value };
}
