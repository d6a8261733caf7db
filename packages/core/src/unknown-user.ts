import type { Policy } from "./policy.ts";
import { warnOnce } from "./store/warning.ts";
import { userOfData } from "./user.ts";

/**
 * Warns once if the data of an anonymous session look like a login, because "log out everywhere" cannot find
 * such a session. Does nothing if the application sets the option `userId`.
 */
export function warnOfUnknownUser<Data extends object>(policy: Policy<Data>, data: Data | null): void {
  if (policy.userId !== userOfData || data === null) return;
  const values = data as Record<string, unknown>;
  const key = KEYS.find((name) => isSomething(values[name]));
  if (key === undefined) return;
  const user = userIn(key, values[key]);
  const option = user && `, or set the option userId, such as new Sessions({ userId: (data) => ${user} })`;
  warnOnce(
    "TENURE_USER_UNKNOWN",
    `the data of a session without a user have the key ${key}, which looks like a login, so "log out everywhere" cannot find the session: log in with logIn${option ?? ""}`,
  );
}

const FLAGS: readonly string[] = ["loggedIn", "isLoggedIn", "isAuthenticated"];

const KEYS: readonly string[] = [
  "user",
  "account",
  "uid",
  "user_id",
  "userID",
  "userid",
  "accountId",
  "username",
  "email",
  ...FLAGS,
  "passport",
];

/** Returns the expression that reads the user from the data. `null`: the value does not name the user. */
function userIn(key: string, value: unknown): string | null {
  if (typeof value === "boolean" || FLAGS.includes(key)) return null;
  if (typeof value !== "object" || value === null) return `data.${key}`;
  return key === "passport" && "user" in value ? "data.passport?.user?.id" : `data.${key}?.id`;
}

/** Whether a login may have stored this value. passport stores an empty object for visitors. */
function isSomething(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return value !== undefined && Boolean(value);
  return Object.values(value).some((each) => each !== undefined && each !== null);
}
