import type { Store } from "express-session";

/** A session store as express-session users would set it up, on one server that all competitors of a run share. */
export interface Competitor {
  readonly store: Store;
  /**
   * Of the page views to come, this share has to write its touch; the others come too soon after the last one. Absent: it
   * writes every touch, and knows no other way.
   */
  readonly dueShare?: (share: number) => void;
  /** Called once the first sessions are there: ends whatever made their creation faster. */
  readonly populated?: () => void;
  /** Ends all sessions of a user in the way that this store has. Resolves to how many. */
  readonly revokeUser: (userId: string) => Promise<number>;
  /** What {@link revokeUser} does, in a few words. */
  readonly revocation: string;
  readonly close: () => Promise<unknown>;
}

/** What meets on one backend. */
export interface Contest {
  /** Absent: there is none, sessions are in the client's own memory. */
  readonly server?: () => Promise<BenchServer>;
  /** By name. The first is Tenure, beside which the others are put. Each is opened in a process of its own. */
  readonly competitors: Readonly<Record<string, (url: string) => Promise<Competitor>>>;
  readonly targets: readonly Target[];
}

export interface BenchServer {
  readonly url: string;
  /** Which it is, human-readable. */
  readonly about: string;
  /** Its first process. Absent: it is not of this run; then it is neither pinned nor measured. */
  readonly pid: number | undefined;
  readonly stop: () => Promise<void>;
}

/** How many times the peer's requests a second (or a revocation's speed) Tenure is to reach. */
export interface Target {
  readonly cell: string;
  readonly peer: string;
  readonly times: number;
}

/** How long sessions live here, milliseconds: the cookie's maxAge, the peers' TTL and Tenure's idle timeout. */
export const IDLE = 30 * 60_000;

/** The cell of that name: the ten sessions of one user, among all that there are. */
export const REVOCATION = "revoke one user's 10 sessions";
