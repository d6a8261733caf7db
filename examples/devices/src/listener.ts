import { readFileSync } from "node:fs";
import type { IncomingMessage, RequestListener } from "node:http";

/** What stands before every framework: the headers of every answer, the style sheet, and who may post forms. */
export function listenerBefore(app: RequestListener): RequestListener {
  return (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (request.method === "GET" && request.url === "/style.css") {
      response.setHeader("Content-Type", "text/css; charset=utf-8").end(style);
    } else if (isForeign(request)) {
      response.statusCode = 403;
      response.end("Refused: this form was not sent from this site's own page.\n");
    } else app(request, response);
  };
}

const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // Not "no-referrer": forms would then be sent with `Origin: null`.
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  // The Back button must not show what a logged-out person saw.
  "Cache-Control": "no-store",
};

const style = readFileSync(new URL("pages/style.css", import.meta.url), "utf8");

/**
 * Whether another site's page may have sent this in a visitor's name. Browsers say where a form comes from and no page can
 * change that; a cookie that is `SameSite=Lax` is the second lock.
 */
function isForeign({ method, headers: { origin, host } }: IncomingMessage): boolean {
  if (method === "GET" || method === "HEAD") return false;
  return origin === undefined || URL.parse(origin)?.host !== host;
}
