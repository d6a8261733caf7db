import type { FrameworkContext } from "./framework.ts";

/**
 * Lets a response leave the browser's session cookie as it is. koa-session sets or clears its cookie after every call of the store, and
 * can be kept from it only here.
 */
export interface CookieGuard {
  isWithheld: boolean;
}

export function guardCookie({ cookies, sessionOptions = {} }: FrameworkContext): CookieGuard {
  const guard = { isWithheld: true };
  const { key, externalKey } = sessionOptions;
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const { set } = cookies;
  cookies.set = function (name, ...rest) {
    return guard.isWithheld && name === key ? this : set.call(this, name, ...rest);
  };
  if (externalKey) {
    sessionOptions.externalKey = {
      ...externalKey,
      set: (ctx, token) => (guard.isWithheld ? undefined : externalKey.set(ctx, token)),
    };
  }
  return guard;
}
