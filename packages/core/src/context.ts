import type { StoreContext } from "./store-context.ts";
import type { Cap } from "./cap.ts";
import type { Touches } from "./touches.ts";
import type { Writes } from "./writes.ts";

/** The parts of a `Sessions`, for the modules that implement it. */
export interface Context<Data extends object> extends StoreContext<Data> {
  readonly touches: Touches<Data>;
  readonly writes: Writes<Data>;
  readonly cap: Cap<Data>;
}
