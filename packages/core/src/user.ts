/**
 * A user, as applications name them. Numbers and bigints become decimal strings: 7 and "7" are the same user.
 */
export type UserId = string | number | bigint;

/**
 * Returns the string by which stores know a user.
 *
 * @throws TypeError for a value that cannot name one user: `""`, NaN, a fraction, an object
 *   (`"[object Object]"` would be every user)
 */
export function userIdOf(user: UserId): string {
  const userId = userIdIn(user);
  if (userId !== null) return userId;
  throw new TypeError(
    `a user id must be a well-formed non-empty string, a whole number or a bigint, not ${kindOf(user)}`,
  );
}

/** Describes a value that cannot name a user, without showing it, and says what to pass instead of an object. */
function kindOf(value: unknown): string {
  if (value === "") return "an empty string";
  if (typeof value === "string") return "a malformed string";
  if (Number.isInteger(value)) return "an unsafe integer";
  if (typeof value === "number") return Number.isFinite(value) ? "a fraction" : String(value);
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return "an object: pass the field that identifies the user, an ObjectId as String(user._id)";
}

/** Returns the user that a value names, or `null` if it cannot name one: `""`, `false`, an object. */
export function userIdIn(user: unknown): string | null {
  if (typeof user === "string") return user !== "" && user.isWellFormed() ? user : null;
  return typeof user === "bigint" || Number.isSafeInteger(user) ? String(user) : null;
}

/**
 * The default of the option `userId`: `data.userId`, else passport's `data.passport.user`, else
 * `data.passport` itself, where @fastify/passport keeps the user.
 */
export function userOfData(data: object): unknown {
  const { userId, passport } = data as { readonly userId?: unknown; readonly passport?: unknown };
  if (userId !== undefined && userId !== null) return userId;
  if (typeof passport !== "object" || passport === null) return passport;
  return (passport as { readonly user?: unknown }).user;
}
