/** A user as applications name them. Numbers and bigints become their decimal string: 7 and "7" are the same user. */
export type UserId = string | number | bigint;

/**
 * The string that stores know a user by.
 *
 * @throws TypeError for what cannot name one user: an object (`"[object Object]"` would be everybody), `""`, NaN, fractions
 */
export function userIdOf(user: UserId): string {
  const userId = userIdIn(user);
  if (userId !== null) return userId;
  throw new TypeError(
    `a user id must be a well-formed string that is not empty, a whole number or a bigint, not ${user === "" ? "an empty one" : typeof user}: give the one field that names the user`,
  );
}

/** The user that a value names, or `null` for what cannot name one: `""`, `false`, an object. */
export function userIdIn(user: unknown): string | null {
  if (typeof user === "string") return user !== "" && user.isWellFormed() ? user : null;
  return typeof user === "bigint" || Number.isSafeInteger(user) ? String(user) : null;
}

/**
 * The default of the option `userId`: `data.userId`, else passport's `data.passport.user`, else `data.passport`, where
 * @fastify/passport keeps the user directly.
 */
export function userOfData(data: object): unknown {
  const { userId, passport } = data as { readonly userId?: unknown; readonly passport?: unknown };
  if (userId !== undefined && userId !== null) return userId;
  if (typeof passport !== "object" || passport === null) return passport;
  return (passport as { readonly user?: unknown }).user;
}
