import { type Warn, warnOfUnsentCookie } from "@tenure/core/bridge";
import type { SessionData } from "express-session";
import type { Request } from "./middleware.ts";

/**
 * Warns if a session was stored under a new token and the response did not set its cookie: the cookie is `secure`, and the framework takes
 * the connection for plain HTTP.
 */
export function warnIfNotSent(
  warn: Warn,
  req: Request | undefined,
  token: string,
  cookie: SessionData["cookie"],
): void {
  const { res } = req ?? {};
  if (!req || !res || cookie.secure !== true || "encrypted" in req.socket) return;
  if (res.writableFinished) check();
  else res.once("finish", check);

  function check(): void {
    const lines = [res?.getHeader("set-cookie") ?? []].flat().map(String);
    if (lines.some((line) => line.includes(token))) return;
    warnOfUnsentCookie(warn, 'call app.set("trust proxy", 1)');
  }
}
