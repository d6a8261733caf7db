export { type BatchOptions, batched } from "./batch.ts";
export { isTouch, makesNewVersion } from "./changes.ts";
export { withDeadline } from "./deadline.ts";
export { Fault } from "./fault.ts";
export { assertWellFormed, canBeStored } from "./text.ts";
export {
  assertChanges,
  assertDuration,
  assertNewSession,
  assertRevokeUser,
  instantInTheFuture,
} from "./validate.ts";
export { warnOnce } from "./warning.ts";
