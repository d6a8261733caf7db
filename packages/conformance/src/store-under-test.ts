import type { SessionStore } from "@tenure/core";

/** What a third party gives the suite. */
export interface StoreUnderTest {
  /** Stands before the name of each chapter, for a run that tests several stores. */
  readonly name?: string;
  /**
   * Opens the store. Called twice, when the first test runs: both must be on one backend, as two processes would be.
   * The backend may hold other sessions; what the suite leaves behind expires within a day.
   */
  readonly open: () => SessionStore | Promise<SessionStore>;
  /**
   * Opens the store on a backend that does not answer: at the address that is given, nothing listens, or something that
   * accepts and then is silent. Give the client short timeouts. `null`: the store is all in this process, and there is
   * nothing that could fail to answer.
   */
  readonly unreachable: ((address: Address) => SessionStore | Promise<SessionStore>) | null;
}

/** A TCP address on the loopback interface. */
export interface Address {
  readonly host: string;
  readonly port: number;
}
