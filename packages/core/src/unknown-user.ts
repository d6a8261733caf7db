import type { Policy } from "./policy.ts";
import { warnOnce } from "./store/warning.ts";
import { userOfData } from "./user.ts";

/**
 * Warns once if the data of an anonymous session look like a login, because "log out everywhere" cannot find
 * such a session. Does nothing if the application sets the option `userId`.
 */
export function warnOfUnknownUser<Data extends object>(policy: Policy<Data>, data: Data | null): void {
  if (policy.userId !== userOfData || data === null) return;
  const key = KEYS.find((name) => isSomething((data as Record<string, unknown>)[name]));
  if (key === undefined) return;
  warnOnce(
    "TENURE_USER_UNKNOWN",
    `the data of a session without a user have the key ${key}, which looks like a login, so "log out everywhere" cannot find the session: log in with logIn, or set the option userId, such as new Sessions({ userId: (data) => data.${key}?.id })`,
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

/** Whether a login may have stored this value. passport stores an empty object for visitors. */
function isSomething(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return value !== undefined && Boolean(value);
  return Object.values(value).some((each) => each !== undefined && each !== null);
}
