import { request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The `Set-Cookie` headers. */
  readonly setCookies: readonly string[];
  readonly location: string | undefined;
}

/** A browser's part: keeps the cookies that a server sets and sends them again. */
export class Agent {
  readonly origin: string;
  readonly cookies: Map<string, string> = new Map();

  constructor(origin: string, cookies: Iterable<readonly [string, string]> = []) {
    this.origin = origin;
    for (const [name, value] of cookies) this.cookies.set(name, value);
  }

  /** The same cookies, elsewhere: another tab, another server, or what a thief copied. */
  copy(origin: string = this.origin): Agent {
    return new Agent(origin, this.cookies);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send("GET", path, headers);
  }

  post(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send("POST", path, headers);
  }

  async #send(method: string, path: string, headers: Record<string, string>): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await exchange(method, this.origin + path, cookie ? { cookie, ...headers } : headers);
    for (const line of answer.setCookies) this.#keep(line);
    return answer;
  }

  #keep(line: string): void {
    const [pair = "", ...attributes] = line.split(";").map((part) => part.trim());
    const equals = pair.indexOf("=");
    const expires = attributes.find((attribute) => /^expires=/i.test(attribute))?.slice("expires=".length);
    if (expires !== undefined && new Date(expires).getTime() <= Date.now()) {
      this.cookies.delete(pair.slice(0, equals));
    } else {
      this.cookies.set(pair.slice(0, equals), pair.slice(equals + 1));
    }
  }
}

/** One HTTP request. Rejects when the response is cut. */
function exchange(method: string, url: string, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        if (!response.complete) return reject(new Error("the response was cut"));
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          setCookies: response.headers["set-cookie"] ?? [],
          location: response.headers.location,
        });
      });
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}
