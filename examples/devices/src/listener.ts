import { readFileSync } from "node:fs";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

/** What runs before every framework: the headers of every response, the style sheet, and which forms are accepted. */
export function listenerBefore(app: RequestListener): RequestListener {
  return (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (isRead(request) && request.url === "/style.css") {
      response.setHeader("Content-Type", "text/css; charset=utf-8").end(style);
    } else if (isForeign(request)) {
      refuse(response, 403, "this form was not sent from this site's own page.");
    } else if (isTooLong(request)) {
      refuse(response, 413, "a form of this site is shorter.");
    } else app(request, response);
  };
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.statusCode = status;
  response.setHeader("Content-Type", "text/plain; charset=utf-8").end(`Refused: ${why}\n`);
}

function isRead({ method }: IncomingMessage): boolean {
  return method === "GET" || method === "HEAD";
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
 * Whether another site's page may have sent this in a visitor's name. Browsers send a form's origin, and no page can change
 * it. The cookie's `SameSite=Lax` is the second lock.
 */
function isForeign(request: IncomingMessage): boolean {
  if (isRead(request)) return false;
  const { origin, host } = request.headers;
  return origin === undefined || URL.parse(origin)?.host !== host;
}

/** Bytes that a form may have. */
const LONGEST_FORM = 8192;

/** A body without a length counts as too long: no browser sends a form like that. */
function isTooLong({ headers }: IncomingMessage): boolean {
  return "transfer-encoding" in headers || Number(headers["content-length"] ?? 0) > LONGEST_FORM;
}
