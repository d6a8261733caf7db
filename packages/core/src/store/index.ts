export { Fault } from "../errors.ts";
export { type BatchOptions, batched } from "./batch.ts";
export { isTouch, makesNewVersion } from "./changes.ts";
export { withDeadline } from "./deadline.ts";
export { monotonic, setImmediate, setTimeout } from "./real-time.ts";
export { orError, type ScanPage, scanPages } from "./scan.ts";
export {
  assertChanges,
  assertDuration,
  assertKnownOptions,
  assertNewSession,
  assertRevokeUser,
  assertWellFormed,
  canBeStored,
  instantInTheFuture,
} from "./validate.ts";
export { warnOnce } from "./warning.ts";
