import type { NewSession, SessionChanges, SessionRecord } from "@tenure/core";

/** A call, as far as it concerns one id. */
export type Call =
  | { readonly on: "create"; readonly session: NewSession }
  | { readonly on: "read" }
  | { readonly on: "update"; readonly changes: SessionChanges }
  | { readonly on: "revoke" }
  | {
      readonly on: "revokeUser";
      readonly userId: string;
      readonly excepted: boolean;
      readonly authenticatedUpTo?: number;
    }
  | { readonly on: "listUser"; readonly userId: string };

/**
 * What a call resolved to, as far as it concerns one id. `revokeUser`: whether it ended this session,
 * `undefined` if that is not known. `listUser`: the record or `null`.
 */
export type Result = SessionRecord | string | boolean | null | undefined;

/** What may be stored under an id: never created, expired, revoked, or alive. */
export type State = "none" | "expired" | "revoked" | Live;

interface Live {
  readonly userId: string | null;
  readonly authenticatedAt: Interval | null;
  readonly data: string;
  readonly version: number;
  readonly idle: number;
  readonly createdAt: Interval;
  readonly touchedAt: Interval;
  readonly endsAt: Interval;
}

/** The first and the last possible instant of something. They are equal once a record has been read. */
export type Interval = readonly [first: number, last: number];

/** The fence of each user who has one. */
export type Fences = Readonly<Record<string, Interval>>;

/** What is known about the time of a call. */
export interface Circumstances {
  /** The store's clock before the call and after its result. */
  readonly during: Interval;
  readonly fences: Fences;
  /**
   * Whether a login and a `revokeUser` of its user overlapped. The login may then count as before or after
   * that fence, and `revokeUser` may leave a tombstone for a session that is not created yet.
   */
  readonly raced?: boolean;
  /**
   * Whether an update with `authenticatedAt` overlapped a `revokeUser`: it may come after the fence is set,
   * and before `revokeUser` examines the session.
   */
  readonly renewed?: boolean;
}

/**
 * Returns the states that the contract allows for an id after a call, if `state` was stored before it. Empty:
 * no store may resolve to this result.
 */
export function statesAfter(state: State, call: Call, result: Result, given: Circumstances): State[] {
  const [from, to] = given.during;
  const before: State[] = [];
  if (!isLive(state) || from < expiryOf(state)[1]) before.push(state);
  if (isLive(state) && to >= expiryOf(state)[0]) before.push("expired");
  return before.flatMap((each) => step(each, call, result, given));
}

/** Returns the states that are possible after a call that rejected, if it took effect. */
export function statesAfterRejection(state: State, call: Call, given: Circumstances): State[] {
  const results: readonly Result[] = {
    create: ["created", "taken", "fenced"],
    read: [],
    update: ["updated", "gone", "conflict", "fenced"],
    revoke: [true, false],
    revokeUser: [undefined],
    listUser: [],
  }[call.on];
  return results.flatMap((result) => statesAfter(state, call, result, given));
}

/** Returns the fences after a call. Only `revokeUser` moves one, and never to an earlier instant. */
export function fencesAfter(fences: Fences, call: Call, during: Interval): Fences {
  if (call.on !== "revokeUser") return fences;
  const [first, last] = fences[call.userId] ?? [0, 0];
  const [from, to] = instantOf(call.authenticatedUpTo, during);
  return { ...fences, [call.userId]: [Math.max(first, from), Math.max(last, to)] };
}

export function mayRefuse(call: Call, given: Circumstances): boolean {
  const login = call.on === "create" ? call.session : call.on === "update" ? call.changes : undefined;
  const { userId = null, authenticatedAt } = login ?? {};
  if (userId === null) return false;
  return given.raced === true || refusalOf(userId, authenticatedAt, given).isPossible;
}

export function isLive(state: State): state is Live {
  return typeof state === "object";
}

function step(state: State, call: Call, result: Result, given: Circumstances): State[] {
  switch (call.on) {
    case "create":
      return create(state, call.session, result, given);
    case "read":
      return seen(state, isLive(state), result);
    case "listUser":
      return seen(state, isLive(state) && state.userId === call.userId, result);
    case "update":
      return update(state, call.changes, result, given);
    case "revoke":
      return result === isLive(state) ? ["revoked"] : [];
    default:
      return revokeUser(state, call, result, given);
  }
}

function create(state: State, session: NewSession, result: Result, given: Circumstances): State[] {
  const { userId, data, idle, lifetime } = session;
  const { during, raced = false } = given;
  const isTaken = isLive(state) || state === "revoked";
  const refusal = refusalOf(userId, session.authenticatedAt, given);
  if (result === "taken") return isTaken || state === "expired" ? [state] : [];
  if (result === "fenced") {
    if (userId === null) return [];
    if (isTaken) return raced && state === "revoked" ? [state] : [];
    return refusal.isPossible || raced ? [state, "revoked"] : [];
  }
  if (result !== "created" || isTaken || refusal.isCertain) return [];
  const authenticatedAt = userId === null ? null : loginOf(session.authenticatedAt, given);
  const endsAt = later(during, lifetime);
  return [{ userId, authenticatedAt, data, version: 1, idle, createdAt: during, touchedAt: during, endsAt }];
}

function update(state: State, changes: SessionChanges, result: Result, given: Circumstances): State[] {
  if (!isLive(state)) return result === "gone" ? [state] : [];
  const { userId = state.userId, data = state.data, idle = state.idle, ifVersion = state.version } = changes;
  if (ifVersion !== state.version) return result === "conflict" ? [state] : [];
  const { authenticatedAt, lifetime, touch = true } = changes;
  const isRebound = userId !== state.userId;
  const refusal = refusalOf(
    userId,
    authenticatedAt,
    isRebound ? given : { during: given.during, fences: {} },
  );
  if (result === "fenced") {
    return refusal.isPossible || (given.raced && isRebound && userId !== null) ? ["revoked"] : [];
  }
  if (result !== "updated" || refusal.isCertain) return [];
  const grows = [changes.data, changes.userId, lifetime, authenticatedAt].some((one) => one !== undefined);
  const [from, to] = given.during;
  return [
    {
      userId,
      authenticatedAt: bindingOf(state, userId, changes, given),
      data,
      version: state.version + (grows ? 1 : 0),
      idle,
      createdAt: state.createdAt,
      touchedAt: touch ? [from, Math.min(to, expiryOf(state)[1] - 1)] : state.touchedAt,
      endsAt: lifetime === undefined ? state.endsAt : later(given.during, lifetime),
    },
  ];
}

function bindingOf(
  state: Live,
  userId: string | null,
  { authenticatedAt }: SessionChanges,
  given: Circumstances,
): Interval | null {
  if (userId === null) return null;
  if (userId === state.userId && authenticatedAt === undefined) return state.authenticatedAt;
  const [first, last] = loginOf(authenticatedAt, given);
  const [storedFirst, storedLast] = state.authenticatedAt ?? [0, 0];
  return [Math.max(first, storedFirst), Math.max(last, storedLast)];
}

function revokeUser(
  state: State,
  { userId, excepted, authenticatedUpTo }: Extract<Call, { on: "revokeUser" }>,
  result: Result,
  { during, raced = false, renewed = false }: Circumstances,
): State[] {
  if (!isLive(state)) {
    const mayBury = raced && state !== "revoked";
    return result === true ? [] : mayBury ? [state, "revoked"] : [state];
  }
  if (state.userId !== userId || excepted) return result === true ? [] : [state];
  const [first, last] = state.authenticatedAt ?? [0, 0];
  const [from, to] = instantOf(authenticatedUpTo, during);
  // Without `authenticatedUpTo`, the call must end every readable session, whatever its `authenticatedAt`.
  const mustEnd = last <= from || (authenticatedUpTo === undefined && !renewed);
  const mayEnd = authenticatedUpTo === undefined || first <= to;
  const next: State[] = [];
  if (result !== false && mayEnd) next.push("revoked");
  if (result !== true && !mustEnd) next.push(state);
  return next;
}

/** Checks a record that was read, and replaces the state's intervals by its instants. */
function seen(state: State, isVisible: boolean, result: Result): State[] {
  if (!isVisible || !isLive(state)) return result === null ? [state] : [];
  if (typeof result !== "object" || result === null) return [];
  const { createdAt, touchedAt, endsAt, expiresAt, authenticatedAt } = result;
  const fits =
    result.userId === state.userId &&
    result.data === state.data &&
    result.version === state.version &&
    result.idle === state.idle &&
    contains(state.createdAt, createdAt) &&
    contains(state.touchedAt, touchedAt) &&
    contains(state.endsAt, endsAt) &&
    expiresAt === Math.min(touchedAt + state.idle, endsAt) &&
    (state.authenticatedAt === null
      ? authenticatedAt === null
      : authenticatedAt !== null && contains(state.authenticatedAt, authenticatedAt));
  if (!fits) return [];
  return [
    {
      ...state,
      authenticatedAt: authenticatedAt === null ? null : [authenticatedAt, authenticatedAt],
      createdAt: [createdAt, createdAt],
      touchedAt: [touchedAt, touchedAt],
      endsAt: [endsAt, endsAt],
    },
  ];
}

interface Refusal {
  readonly isPossible: boolean;
  readonly isCertain: boolean;
}

function refusalOf(
  userId: string | null,
  authenticatedAt: number | undefined,
  { during: [from, to], fences }: Circumstances,
): Refusal {
  if (userId === null || authenticatedAt === undefined) return { isPossible: false, isCertain: false };
  const [first, last] = fences[userId] ?? [-1, -1];
  const at: Interval = [Math.min(authenticatedAt, from), Math.min(authenticatedAt, to)];
  return {
    isPossible: at[0] <= to - TOMBSTONE_MINIMUM || at[0] <= last,
    isCertain: at[1] <= from - TOMBSTONE_MINIMUM || at[1] <= first,
  };
}

/** Milliseconds. The default of every store. */
export const TOMBSTONE_MINIMUM: number = 60 * 60 * 1000;

/** Returns the stored `authenticatedAt`: now at most, or just after an overlapping `revokeUser`'s fence. */
function loginOf(
  authenticatedAt: number | undefined,
  { during: [from, to], raced }: Circumstances,
): Interval {
  if (authenticatedAt === undefined) return [from, raced ? to + 1 : to];
  return [Math.min(authenticatedAt, from), Math.min(authenticatedAt, to)];
}

function instantOf(authenticatedUpTo: number | undefined, during: Interval): Interval {
  return authenticatedUpTo === undefined ? during : [authenticatedUpTo, authenticatedUpTo];
}

function expiryOf({ touchedAt, idle, endsAt }: Live): Interval {
  return [Math.min(touchedAt[0] + idle, endsAt[0]), Math.min(touchedAt[1] + idle, endsAt[1])];
}

function later([first, last]: Interval, duration: number): Interval {
  return [first + duration, last + duration];
}

function contains([first, last]: Interval, instant: number): boolean {
  return first <= instant && instant <= last;
}
