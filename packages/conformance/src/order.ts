import { type Answer, type Call, type State, statesAfter, statesAfterUnknown } from "./model.ts";

/** A call of a concurrent history of one id. */
export interface Observed {
  readonly call: Call;
  readonly answer: Answer;
  /** Rejected: it happened, will happen, or didn't. */
  readonly rejected: boolean;
  /** Places in one sequence of all beginnings and answers. */
  readonly began: number;
  readonly ended: number;
}

/**
 * Whether there is an order of the calls, each at one instant between its beginning and its answer, in which every answer
 * is one that the contract allows: the search of Wing and Gong, with a memory of what was tried.
 *
 * @param from the store's clock before the first call
 * @param to the store's clock after the last answer
 */
export function hasOrder(history: readonly Observed[], from: number, to: number): boolean {
  const tried = new Set<string>();
  return search(history, "none");

  function search(left: readonly Observed[], state: State): boolean {
    const answered = left.filter(({ rejected }) => !rejected);
    if (answered.length === 0) return true;
    const key = `${left.map(({ began }) => began).join()} ${JSON.stringify(state)}`;
    if (tried.has(key)) return false;
    tried.add(key);
    const firstAnswer = Math.min(...answered.map(({ ended }) => ended));
    return left
      .filter(({ began }) => began < firstAnswer)
      .some((next) => {
        const rest = left.filter((each) => each !== next);
        const states = next.rejected
          ? statesAfterUnknown(state, next.call, from, to)
          : statesAfter(state, next.call, next.answer, from, to);
        return states.some((after) => search(rest, after));
      });
  }
}
