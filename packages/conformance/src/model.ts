import type { NewSession, SessionChanges, SessionRecord } from "@tenure/core";

/** A call, as far as it concerns one id. */
export type Call =
  | { readonly on: "create"; readonly session: NewSession }
  | { readonly on: "read" }
  | { readonly on: "update"; readonly changes: SessionChanges }
  | { readonly on: "revoke" }
  | { readonly on: "revokeUser"; readonly userId: string; readonly excepted: boolean }
  | { readonly on: "listUser"; readonly userId: string };

/**
 * What was answered for that id: as the contract says, but of `revokeUser` whether it ended this session (`undefined`:
 * can't be told), and of `listUser` its record or `null`.
 */
export type Answer = SessionRecord | string | boolean | null | undefined;

/** What may be stored under one id: never created, expired, revoked, or alive. */
export type State = "none" | "expired" | "revoked" | Live;

interface Live {
  readonly userId: string | null;
  readonly data: string;
  readonly version: number;
  readonly idle: number;
  readonly lifetime: number;
  readonly createdAt: Interval;
  readonly touchedAt: Interval;
}

/** From the first to the last instant at which it may have been. One instant, once a record was read. */
type Interval = readonly [first: number, last: number];

/**
 * The contract for one id: what may be stored after a call that was answered so, if `state` was stored before it. Empty
 * where no store may answer so.
 *
 * @param from the store's clock before the call
 * @param to the store's clock after the answer
 */
export function statesAfter(state: State, call: Call, answer: Answer, from: number, to: number): State[] {
  const before: State[] = [];
  if (!isLive(state) || from < expiryOf(state)[1]) before.push(state);
  if (isLive(state) && to >= expiryOf(state)[0]) before.push("expired");
  return before.flatMap((each) => step(each, call, answer, [from, to]));
}

/** What may be stored after a call that rejected, if it is made at all. */
export function statesAfterUnknown(state: State, call: Call, from: number, to: number): State[] {
  const answers: readonly Answer[] = {
    create: [true, false],
    read: [],
    update: ["updated", "gone", "conflict"],
    revoke: [true, false],
    revokeUser: [undefined],
    listUser: [],
  }[call.on];
  return answers.flatMap((answer) => statesAfter(state, call, answer, from, to));
}

export function isLive(state: State): state is Live {
  return typeof state === "object";
}

function step(state: State, call: Call, answer: Answer, during: Interval): State[] {
  switch (call.on) {
    case "create":
      return create(state, call.session, answer, during);
    case "read":
      return seen(state, isLive(state), answer);
    case "listUser":
      return seen(state, isLive(state) && state.userId === call.userId, answer);
    case "update":
      return update(state, call.changes, answer, during);
    case "revoke":
      return answer === isLive(state) ? ["revoked"] : [];
    default: {
      const ends = isLive(state) && state.userId === call.userId && !call.excepted;
      if (answer !== undefined && answer !== ends) return [];
      return [ends ? "revoked" : state];
    }
  }
}

function create(state: State, session: NewSession, answer: Answer, [from, to]: Interval): State[] {
  const { userId, data, idle, lifetime, createdAt = Infinity } = session;
  const began: Interval = [Math.min(createdAt, from), Math.min(createdAt, to)];
  const next: State[] = [];
  const taken = isLive(state) || state === "revoked";
  if (answer === true && !taken && began[1] + lifetime > from) {
    next.push({ userId, data, version: 1, idle, lifetime, createdAt: began, touchedAt: [from, to] });
  }
  // An id that expired may be refused, as suits the store.
  if (answer === false && (state !== "none" || began[0] + lifetime <= to)) next.push(state);
  return next;
}

function update(state: State, changes: SessionChanges, answer: Answer, [from, to]: Interval): State[] {
  if (!isLive(state)) return answer === "gone" ? [state] : [];
  const { userId = state.userId, data = state.data, idle = state.idle, ifVersion = state.version } = changes;
  if (ifVersion !== state.version) return answer === "conflict" ? [state] : [];
  if (answer !== "updated") return [];
  const grows = changes.data !== undefined || changes.userId !== undefined;
  const touchedAt: Interval = [from, Math.min(to, expiryOf(state)[1] - 1)];
  return [{ ...state, userId, data, idle, version: state.version + (grows ? 1 : 0), touchedAt }];
}

/** A record that was read tells the instants that were only known to lie between two. */
function seen(state: State, visible: boolean, answer: Answer): State[] {
  if (!visible || !isLive(state)) return answer === null ? [state] : [];
  if (typeof answer !== "object" || answer === null) return [];
  const { createdAt, touchedAt, endsAt, expiresAt } = answer;
  const fits =
    answer.userId === state.userId &&
    answer.data === state.data &&
    answer.version === state.version &&
    answer.idle === state.idle &&
    contains(state.createdAt, createdAt) &&
    contains(state.touchedAt, touchedAt) &&
    endsAt === createdAt + state.lifetime &&
    expiresAt === Math.min(touchedAt + state.idle, endsAt);
  return fits ? [{ ...state, createdAt: [createdAt, createdAt], touchedAt: [touchedAt, touchedAt] }] : [];
}

function expiryOf({ createdAt, touchedAt, idle, lifetime }: Live): Interval {
  return [
    Math.min(touchedAt[0] + idle, createdAt[0] + lifetime),
    Math.min(touchedAt[1] + idle, createdAt[1] + lifetime),
  ];
}

function contains([first, last]: Interval, instant: number): boolean {
  return first <= instant && instant <= last;
}
