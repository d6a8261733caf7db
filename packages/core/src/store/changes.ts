import type { SessionChanges } from "../store.ts";

/** Whether an update only restarts the idle timeout, for stores that have a cheaper operation for that. */
export function isTouch(changes: SessionChanges): boolean {
  for (const key in changes) {
    const value = changes[key as keyof SessionChanges];
    if (value !== undefined && !(key === "touch" && value === true)) return false;
  }
  return true;
}

/** Whether an update adds 1 to the version of the record. */
export function makesNewVersion({ data, userId, lifetime, authenticatedAt }: SessionChanges): boolean {
  return (
    data !== undefined || userId !== undefined || lifetime !== undefined || authenticatedAt !== undefined
  );
}
