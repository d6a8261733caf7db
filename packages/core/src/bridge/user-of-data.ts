import type { UserId } from "../user.ts";

/**
 * Whose session it is, told from its data where nothing else was said: `data.userId`, else passport's `data.passport.user`.
 * What can't name a user (an object, `""`) is answered as it is: `Sessions` refuses it when it is saved.
 */
export function userOfData(data: object): UserId | null | undefined {
  const { userId, passport } = data as {
    readonly userId?: UserId | null;
    readonly passport?: { readonly user?: UserId | null } | null;
  };
  return userId ?? passport?.user;
}
