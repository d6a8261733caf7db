import { createHmac } from "node:crypto";
import type { Visitor } from "@tenure/cookie-client";
import { SECRET } from "./app.ts";

/** Returns a browser whose only cookie is this token, signed as the middleware signs it. */
export function browserWithToken(visitor: Visitor, token: string): Visitor {
  const browser = visitor.twin();
  browser.cookies.clear();
  browser.cookies.set("connect.sid", signedCookie(token));
  return browser;
}

/** Returns the cookie's value as the middleware would set it. */
export function signedCookie(token: string): string {
  const signature = createHmac("sha256", SECRET).update(token).digest("base64").replace(/=+$/, "");
  return encodeURIComponent(`s:${token}.${signature}`);
}
