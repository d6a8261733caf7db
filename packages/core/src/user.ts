/** A user as applications name them. Numbers and bigints become their decimal string: 7 and "7" are the same user. */
export type UserId = string | number | bigint;

/**
 * The string that stores know a user by.
 *
 * @throws TypeError for what can't name one user: an object (`"[object Object]"` would be everybody), `""`, NaN, fractions
 */
export function userIdOf(user: UserId): string {
  if (typeof user === "string" && user !== "") return user;
  if (typeof user === "bigint" || Number.isSafeInteger(user)) return String(user);
  throw new TypeError(
    `a user id must be a string that is not empty, a whole number or a bigint, not ${user === "" ? "an empty one" : typeof user}: give the one field that names the user`,
  );
}

/** As {@link userIdOf}; `undefined` and `null` are nobody: `null`. */
export function userIdOrNull(user: UserId | null | undefined): string | null {
  return user === undefined || user === null ? null : userIdOf(user);
}
