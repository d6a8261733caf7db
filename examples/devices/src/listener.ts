import { readFileSync } from "node:fs";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

/**
 * Wraps a framework's listener: sets the headers of every response, serves the style sheet, and refuses
 * foreign and oversized forms.
 */
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
  // After a logout, the Back button must not show the pages from before it.
  "Cache-Control": "no-store",
};

const style = readFileSync(new URL("pages/style.css", import.meta.url), "utf8");

/**
 * Returns whether a page of another site may have sent this request. Browsers send a form's origin, and no
 * page can change it. The cookie's `SameSite=Lax` is the second defence.
 */
function isForeign(request: IncomingMessage): boolean {
  if (isRead(request)) return false;
  const { origin, host } = request.headers;
  return origin === undefined || URL.parse(origin)?.host !== host;
}

/** The maximum size of a form, bytes. */
const LONGEST_FORM = 8192;

/**
 * Returns whether a body is too long. One without a length counts as too long, because no browser sends such
 * a form.
 */
function isTooLong({ headers }: IncomingMessage): boolean {
  return "transfer-encoding" in headers || Number(headers["content-length"] ?? 0) > LONGEST_FORM;
}
