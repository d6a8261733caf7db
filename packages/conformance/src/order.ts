import {
  type Call,
  type Circumstances,
  type Fences,
  fencesAfter,
  type Interval,
  isLive,
  mayRefuse,
  type Result,
  type State,
  statesAfter,
  statesAfterRejection,
} from "./model.ts";

/** A call in a concurrent history of one id. */
export interface Observed {
  readonly call: Call;
  readonly result: Result;
  /** The call took effect, will take effect later, or never does. */
  readonly rejected: boolean;
  /** Positions in the sequence of all beginnings and ends of calls. */
  readonly began: number;
  readonly ended: number;
  /** The store's clock before the call and after its result. */
  readonly during: Interval;
}

/**
 * Whether the calls have an order, each at one instant between its beginning and its end, in which the
 * contract allows every result. This is the search of Wing and Gong, with memoization.
 *
 * A call refused as "fenced" may take two instants: a store may write, then find the fence and undo the
 * write.
 */
export function hasOrder(history: readonly Observed[]): boolean {
  const tried = new Set<string>();
  const pending = history.map((one): Pending => ({
    ...one,
    raced: isRaced(one, history),
    renewed: isRenewed(one, history),
    isWritten: false,
  }));
  return search({ left: pending, state: "none", fences: {} });

  function search(world: World): boolean {
    const resolved = world.left.filter(({ rejected }) => !rejected);
    if (resolved.length === 0) return true;
    const key = keyOf(world);
    if (tried.has(key)) return false;
    tried.add(key);
    const firstEnd = Math.min(...resolved.map(({ ended }) => ended));
    return world.left
      .filter(({ began }) => began < firstEnd)
      .some((next) => worldsAfter(world, next).some((after) => search(after)));
  }
}

interface Pending extends Observed {
  readonly raced: boolean;
  readonly renewed: boolean;
  /** The call has written, and will undo its write. */
  readonly isWritten: boolean;
}

interface World {
  readonly left: readonly Pending[];
  readonly state: State;
  readonly fences: Fences;
}

function keyOf({ left, state, fences }: World): string {
  const calls = left.map(({ began, isWritten }) => (isWritten ? -began : began));
  return JSON.stringify([calls, state, fences]);
}

function worldsAfter({ left, state, fences }: World, next: Pending): World[] {
  const { call, result, rejected, during, raced, renewed } = next;
  const rest = left.filter((each) => each !== next);
  const given: Circumstances = { during, fences, raced, renewed };
  if (next.isWritten) {
    if (!mayRefuse(call, given)) return [];
    return undone(state, call).map((after) => ({ left: rest, state: after, fences }));
  }
  const states = rejected
    ? statesAfterRejection(state, call, given)
    : statesAfter(state, call, result, given);
  const worlds = states.map((after) => ({
    left: rest,
    state: after,
    fences: fencesAfter(fences, call, during),
  }));
  const isLogin = loginUser(call) !== undefined && loginUser(call) !== null;
  if (!isLogin || !(result === "fenced" || rejected)) return worlds;
  const written = statesAfter(state, call, call.on === "create" ? "created" : "updated", {
    during,
    fences: {},
    raced,
  });
  return [
    ...worlds,
    ...written.map((after) => ({ left: [...rest, { ...next, isWritten: true }], state: after, fences })),
  ];
}

function undone(state: State, call: Call): State[] {
  if (!isLive(state)) return [state];
  return call.on === "create" ? ["revoked", "none"] : ["revoked"];
}

function isRaced(one: Observed, history: readonly Observed[]): boolean {
  const userId = loginUser(one.call);
  return history.some((other) => {
    if (!doOverlap(one, other)) return false;
    if (one.call.on === "revokeUser") return loginUser(other.call) === one.call.userId;
    return other.call.on === "revokeUser" && other.call.userId === userId;
  });
}

function isRenewed(one: Observed, history: readonly Observed[]): boolean {
  return (
    one.call.on === "revokeUser" &&
    history.some(
      (other) =>
        other.call.on === "update" &&
        other.call.changes.authenticatedAt !== undefined &&
        (other.rejected || other.result === "updated") &&
        doOverlap(one, other),
    )
  );
}

/** A rejected call may take effect later. */
function doOverlap(one: Observed, other: Observed): boolean {
  return (other.rejected || one.began <= other.ended) && (one.rejected || other.began <= one.ended);
}

function loginUser(call: Call): string | null | undefined {
  if (call.on === "create") return call.session.userId;
  return call.on === "update" ? call.changes.userId : undefined;
}
