import type { Cap } from "./cap.ts";
import type { Touches } from "./touches.ts";
import type { WriteContext, Writes } from "./writes.ts";

/** What a `Sessions` consists of, for the modules that do its work. */
export interface Context<Data extends object> extends WriteContext<Data> {
  readonly touches: Touches;
  readonly writes: Writes<Data>;
  readonly cap: Cap;
}
