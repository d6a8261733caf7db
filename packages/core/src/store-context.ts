import type { StoreClock } from "./clock.ts";
import type { Encoding } from "./encoding.ts";
import type { Envelopes } from "./envelope.ts";
import type { Policy } from "./policy.ts";
import type { SessionStore } from "./store.ts";

/** What every part of a `Sessions` needs to read and write sessions. */
export interface StoreContext<Data extends object> {
  readonly policy: Policy<Data>;
  /** Publishes its failures as events. */
  readonly store: SessionStore;
  readonly envelopes: Envelopes;
  readonly encoding: Encoding<Data>;
  readonly clock: StoreClock;
}
