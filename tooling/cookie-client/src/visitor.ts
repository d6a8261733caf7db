import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

/** A browser as a server sees it. It keeps its cookies between requests and drops expired ones. */
export interface Visitor {
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<BrowserResponse>;
  post(path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<BrowserResponse>;
  /** The cookies, by name. A test may set and delete them. */
  readonly cookies: Map<string, string>;
  /**
   * Returns another visitor with the same cookies: a second tab, a thief, or the same browser at another
   * server.
   */
  twin(origin?: string): Visitor;
}

export interface BrowserResponse {
  readonly status: number;
  /** The complete body. A truncated response is an error. */
  readonly text: string;
  /** The `Set-Cookie` headers, unparsed. */
  readonly setCookies: readonly string[];
  readonly headers: Headers;
}

/** @param origin as `http://127.0.0.1:8080` */
export function visitor(origin: string, cookies: ReadonlyMap<string, string> = new Map()): Visitor {
  const jar = new Map(cookies);
  return {
    cookies: jar,
    get: (path, headers) => send("GET", path, undefined, headers),
    post: (path, body, headers) =>
      send("POST", path, JSON.stringify(body ?? {}), { "content-type": "application/json", ...headers }),
    twin: (elsewhere = origin) => visitor(elsewhere, jar),
  };

  async function send(
    method: string,
    path: string,
    body: string | undefined,
    extra: Readonly<Record<string, string>> = {},
  ): Promise<BrowserResponse> {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = cookie ? { cookie, ...extra } : extra;
    // Each request has its own connection, because a server may close an idle one just as the next request is
    // sent.
    const sent = request(origin + path, { method, headers, agent: false }).end(body);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    const setCookies = response.headers["set-cookie"] ?? [];
    for (const setCookie of setCookies) store(jar, setCookie);
    const pairs = Object.entries(response.headersDistinct).flatMap(([name, values = []]) =>
      values.map((value): [string, string] => [name, value]),
    );
    const status = response.statusCode ?? 0;
    return { status, text: await text(response), setCookies, headers: new Headers(pairs) };
  }
}

/** Stores a cookie as RFC 6265 5.2 and 5.3 describe, for one host and one path. */
function store(jar: Map<string, string>, setCookie: string): void {
  const [pair = "", ...attributes] = setCookie.split(";").map((part) => part.trim());
  const equals = pair.indexOf("=");
  const [name, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
  if (isExpired(attributes)) jar.delete(name);
  else jar.set(name, value);
}

function isExpired(attributes: readonly string[]): boolean {
  const maxAge = attribute(attributes, "max-age");
  if (maxAge !== undefined) return Number(maxAge) <= 0;
  const expires = attribute(attributes, "expires");
  return expires !== undefined && Date.parse(expires) <= Date.now();
}

function attribute(attributes: readonly string[], name: string): string | undefined {
  return attributes.find((one) => one.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
}
