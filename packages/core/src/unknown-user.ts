import type { Policy } from "./policy.ts";
import { warnOnce } from "./store/warning.ts";
import { userOfData } from "./user.ts";

/**
 * Warns once if a session that belongs to nobody holds data that look like a login, because "log out everywhere" cannot find it. Only with
 * the default of the option `userId`: an application that derives its users itself knows better.
 */
export function warnOfUnknownUser<Data extends object>(policy: Policy<Data>, data: Data | null): void {
  if (policy.userId !== userOfData || data === null) return;
  const key = KEYS.find((name) => isSomething((data as Record<string, unknown>)[name]));
  if (key === undefined) return;
  warnOnce(
    "TENURE_USER_UNKNOWN",
    `session data have the key ${key}, which looks like a login, but belong to no user, so that logging out everywhere cannot find them: log in with logIn, or give new Sessions({ userId: (data) => data.${key}?.id })`,
  );
}

const KEYS = [
  "user",
  "account",
  "uid",
  "user_id",
  "userID",
  "userid",
  "accountId",
  "username",
  "email",
  "loggedIn",
  "isLoggedIn",
  "isAuthenticated",
  "passport",
] as const;

/** A value that a login may have left. passport keeps an empty object for visitors. */
function isSomething(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return value !== undefined && Boolean(value);
  return Object.values(value).some((each) => each !== undefined && each !== null);
}
