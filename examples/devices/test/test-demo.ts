import type { SessionStore } from "@tenure/core";
import { type DemoOptions, openStore, startDemo } from "../src/index.ts";

/** The demo, started for a test, with methods that send requests as browsers do and do not follow redirects. */
export interface TestDemo extends AsyncDisposable {
  readonly url: string;
  readonly store: SessionStore;
  get(cookie?: string, path?: string): Promise<Response>;
  post(path: string, cookie?: string, form?: Readonly<Record<string, string>>): Promise<Response>;
  /** Signs in as Ada. Resolves to the cookies, as the next request sends them. */
  signIn(userAgent?: string): Promise<string>;
  /** Resolves to the heading of the page that a browser with this cookie gets. */
  headingFor(cookie: string): Promise<string | undefined>;
}

/** @param address the store's address, as for `--store` */
export async function startTestDemo(
  address: string,
  options: Omit<DemoOptions, "store" | "place" | "port"> = {},
): Promise<TestDemo> {
  const opened = await openStore(address);
  const demo = await startDemo({ ...opened, ...options, port: 0 });
  const get: TestDemo["get"] = (cookie = "", path = "/") =>
    fetch(demo.url + path, { headers: { cookie }, redirect: "manual" });
  const post: TestDemo["post"] = (path, cookie = "", form = {}) =>
    fetch(demo.url + path, {
      method: "POST",
      headers: { cookie, origin: demo.url },
      body: new URLSearchParams(form),
      redirect: "manual",
    });
  return {
    url: demo.url,
    store: opened.store,
    get,
    post,
    signIn: (userAgent) => signIn(demo.url, userAgent),
    async headingFor(cookie) {
      return /<h1>(.*?)<\/h1>/u.exec(await (await get(cookie)).text())?.[1];
    },
    async [Symbol.asyncDispose]() {
      await demo.close();
      await opened.close();
    },
  };
}

/** Signs in as Ada. Resolves to the cookies, as the next request sends them. */
export async function signIn(url: string, userAgent = "a test"): Promise<string> {
  const response = await fetch(`${url}/sign-in`, {
    method: "POST",
    headers: { origin: url, "user-agent": userAgent },
    body: new URLSearchParams({ person: "ada" }),
    redirect: "manual",
  });
  return cookiesOf(response);
}

/** Returns the cookies that a response sets, as the next request sends them. */
export function cookiesOf({ headers }: Response): string {
  const cookies = headers.getSetCookie().map((line) => line.slice(0, line.indexOf(";")));
  return cookies.join("; ");
}
