import type { Store } from "express-session";

/**
 * A session store for express-session, set up as users would, on one server that all competitors of a run
 * share.
 */
export interface Competitor {
  readonly store: Store;
  /**
   * Sets the share of page views whose touch is due; the others come too soon after the last touch. Absent:
   * the store always writes every touch.
   */
  readonly dueShare?: (share: number) => void;
  /** Called after the first sessions have been created. Reverts settings that made their creation faster. */
  readonly populated?: () => void;
  /** Ends all sessions of a user with the means of this store. Resolves to their number. */
  readonly revokeUser: (userId: string) => Promise<number>;
  /** A short description of what {@link revokeUser} does. */
  readonly revocation: string;
  readonly close: () => Promise<unknown>;
}

export interface Contest {
  /** Absent: there is no server, and sessions are in the client's memory. */
  readonly server?: () => Promise<BenchServer>;
  /**
   * Each competitor by its name. The first is Tenure, with which the others are compared. Each is opened in
   * its own process.
   */
  readonly competitors: Readonly<Record<string, (url: string) => Promise<Competitor>>>;
  readonly targets: readonly Target[];
}

export interface BenchServer {
  readonly url: string;
  readonly about: string;
  /**
   * The id of its first process. `undefined`: this run did not start it, so it is neither pinned nor
   * measured.
   */
  readonly pid: number | undefined;
  readonly stop: () => Promise<void>;
}

/** How many times the peer's requests per second (or revocation speed) Tenure should reach. */
export interface Target {
  readonly cell: string;
  readonly peer: string;
  readonly times: number;
}

/**
 * The lifetime of sessions in the benchmark, milliseconds: the cookie's maxAge, the peers' TTL and Tenure's
 * idle timeout.
 */
export const IDLE = 30 * 60_000;

/** The cell in which the ten sessions of one user are revoked, among all sessions. */
export const REVOCATION = "revoke one user's 10 sessions";
