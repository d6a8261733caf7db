import { type Warn, warnOfUnsafeCookie, warnOfWeakSecret } from "@tenure/core/bridge";
import type { FrameworkContext } from "./framework.ts";

/**
 * Keeps koa-session, which has no option for it, from setting or clearing its cookie while `isWithheld`
 * returns true.
 */
export function guardCookie(
  { cookies, sessionOptions = {} }: FrameworkContext,
  isWithheld: () => boolean,
): void {
  const { key, externalKey } = sessionOptions;
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const { set } = cookies;
  cookies.set = function (name, ...rest) {
    return isWithheld() && name === key ? this : set.call(this, name, ...rest);
  };
  if (!externalKey) return;
  sessionOptions.externalKey = {
    ...externalKey,
    set: (ctx, token) => (isWithheld() ? undefined : externalKey.set(ctx, token)),
  };
}

/**
 * Keeps koa-session's cookie in a response to an error. Koa removes all headers from such a response, and the
 * browser would keep a key that the request's login or rotation has replaced.
 *
 * @param respond Koa's own handler
 */
export function keepCookie({ res, sessionOptions }: FrameworkContext, respond: () => void): void {
  if (!res || res.headersSent) return respond();
  const names = [`${sessionOptions?.key}=`, `${sessionOptions?.key}.sig=`];
  const cookies = [res.getHeader("set-cookie") ?? []].flat().map(String);
  const kept = cookies.filter((cookie) => names.some((name) => cookie.startsWith(name)));
  if (kept.length === 0) return respond();
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const { removeHeader } = res;
  res.removeHeader = (name) => {
    if (name.toLowerCase() === "set-cookie") res.setHeader(name, kept);
    else removeHeader.call(res, name);
  };
  try {
    respond();
  } finally {
    res.removeHeader = removeHeader;
  }
}

/** Warns about middleware settings that are unsafe or keep the cookie from being sent. */
export function warnOfSettings(warn: Warn, { sessionOptions: options, secure, app }: FrameworkContext): void {
  // With an external key there may be no cookie at all.
  if (!options || options.externalKey) return;
  if (options.secure && !secure) warn("TENURE_COOKIE_NOT_SENT", "set app.proxy = true");
  warnOfUnsafeCookie(warn, { ...options, secure: options.secure ?? secure }, options.key);
  // A Keygrip does not expose its secrets.
  const keys: readonly unknown[] = Array.isArray(app.keys) ? app.keys : [];
  warnOfWeakSecret(
    warn,
    keys.filter((one) => typeof one === "string"),
  );
}
