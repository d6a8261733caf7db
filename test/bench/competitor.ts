import type { Store } from "express-session";

/** A session store for express-session, set up as users would. All competitors of a run share one server. */
export interface Competitor {
  readonly store: Store;
  /**
   * Sets the share of page views whose touch is due. The others come too soon after the last touch. Absent:
   * the store writes every touch.
   */
  readonly setDueShare?: (share: number) => void;
  /** Called when the initial sessions have been created. Reverts settings that made their creation faster. */
  readonly afterPopulate?: () => void;
  /** Ends all sessions of a user in the way that this store offers. Resolves to their number. */
  readonly revokeUser: (userId: string) => Promise<number>;
  /** A short description of what {@link revokeUser} does. */
  readonly revocation: string;
  readonly close: () => Promise<unknown>;
}

/** Tenure and the stores with which it is compared on one backend. */
export interface Contest {
  /** Absent: there is no server, and sessions are in the client's memory. */
  readonly server?: () => Promise<BenchServer>;
  /** The competitors by name. The first is Tenure. Each is opened in its own process. */
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

/** How many times the peer's requests (or revocations) per second Tenure should reach. */
export interface Target {
  readonly cell: string;
  readonly peer: string;
  readonly times: number;
}

/** How long sessions last, in milliseconds: the cookie's maxAge, the peers' TTL and Tenure's idle timeout. */
export const IDLE = 30 * 60_000;

/** The name of the cell for revoking the ten sessions of one user among all sessions. */
export const REVOCATION = "revoke one user's 10 sessions";
