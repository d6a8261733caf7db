import type { Store } from "express-session";

/** A session store as express-session users would set it up, on one server that all competitors of a run share. */
export interface Competitor {
  readonly name: string;
  readonly store: Store;
  /**
   * Of the page views to come, this share has to write its touch; the others come too soon after the last one. Absent: it
   * writes every touch, and knows no other way.
   */
  readonly dueShare?: (share: number) => void;
  /** Ends all sessions of a user in the way that this store has, and answers how many. */
  readonly revokeUser: (userId: string) => Promise<number>;
  /** What {@link revokeUser} does, in a few words. */
  readonly revocation: string;
  readonly close: () => Promise<unknown>;
}

/** What a run on one backend needs. The first competitor is Tenure, beside which the others are put. */
export interface Arena {
  /** Which server it is, for people. */
  readonly server: string;
  /** The first process of the server. Absent: it is not of this run, or there is none; then it is neither pinned nor measured. */
  readonly serverPid?: number;
  readonly competitors: readonly [Competitor, ...Competitor[]];
  readonly targets: readonly Target[];
  readonly close: () => Promise<void>;
}

/** How many times the peer's requests a second (or a revocation's speed) Tenure is to reach. */
export interface Target {
  readonly cell: string;
  readonly peer: string;
  readonly times: number;
}

/** How long sessions live here, milliseconds: the cookie's maxAge, the peers' TTL and Tenure's idle timeout. */
export const IDLE = 30 * 60_000;
