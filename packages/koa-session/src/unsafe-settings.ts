import { type Warn, warnOfUnsafeCookie, warnOfUnsentCookie, warnOfWeakSecret } from "@tenure/core/bridge";
import type { FrameworkContext } from "./framework.ts";

/** Warns of settings of the middleware that are unsafe, or with which no cookie is sent. */
export function unsafeSettings(warn: Warn): (ctx: FrameworkContext) => void {
  let isFirst = true;

  return (ctx) => {
    // With an external key there may be no cookie at all.
    if (!ctx.sessionOptions || ctx.sessionOptions.externalKey) return;
    const { key, secure, httpOnly, sameSite, path, domain } = ctx.sessionOptions;
    if (secure && !ctx.secure) warnOfUnsentCookie(warn, "set app.proxy = true");
    if (!isFirst) return;
    isFirst = false;
    warnOfUnsafeCookie(warn, { name: key, secure: secure ?? ctx.secure, httpOnly, sameSite, path, domain });
    const { keys } = ctx.app;
    // A Keygrip does not show its secrets.
    if (Array.isArray(keys))
      warnOfWeakSecret(
        warn,
        keys.filter((one) => typeof one === "string"),
      );
  };
}
