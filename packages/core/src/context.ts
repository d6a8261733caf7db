import type { Cap } from "./cap.ts";
import type { StoreClock } from "./clock.ts";
import type { Encoding } from "./encoding.ts";
import type { Envelopes } from "./envelope.ts";
import type { Policy } from "./policy.ts";
import type { SessionStore } from "./store.ts";
import type { Touches } from "./touches.ts";
import type { Writes } from "./writes.ts";

/** What a `Sessions` consists of, for the modules that do its work. */
export interface Context<Data extends object> {
  readonly policy: Policy<Data>;
  /** Its failures are published as events. */
  readonly store: SessionStore;
  readonly envelopes: Envelopes;
  readonly encoding: Encoding<Data>;
  readonly clock: StoreClock;
  readonly touches: Touches;
  readonly writes: Writes<Data>;
  readonly cap: Cap;
}
