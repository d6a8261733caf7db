export { type BatchOptions, batched } from "./batch.ts";
export { withDeadline } from "./deadline.ts";
export { assertWellFormed, canBeStored } from "./text.ts";
export { isTouch } from "./touch.ts";
export { assertChanges, assertNewSession, assertRevokeUser, instantInTheFuture } from "./validate.ts";
export { warnOnce } from "./warning.ts";
