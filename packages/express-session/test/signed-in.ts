import { createHmac } from "node:crypto";
import type { Visitor } from "@tenure/cookie-client";
import { SECRET } from "./app.ts";

/** A browser with this token in its cookie, signed as the middleware does. */
export function signedIn(agent: Visitor, token: string, name = "connect.sid"): Visitor {
  const browser = agent.twin();
  browser.cookies.clear();
  browser.cookies.set(name, signedValue(token));
  return browser;
}

/** The value of a cookie that the server itself could have set. */
export function signedValue(token: string, secret: string = SECRET): string {
  const signature = createHmac("sha256", secret).update(token).digest("base64").replace(/=+$/, "");
  return encodeURIComponent(`s:${token}.${signature}`);
}
