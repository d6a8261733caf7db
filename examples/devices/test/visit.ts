import type { SessionStore } from "@tenure/core";
import { type DemoOptions, openStore, startDemo } from "../src/index.ts";

/** The demo, started for a test, and requests to it as browsers send them. Redirects are not followed. */
export interface Visit extends AsyncDisposable {
  readonly url: string;
  readonly store: SessionStore;
  get(cookie?: string, path?: string): Promise<Response>;
  post(path: string, cookie?: string, form?: Readonly<Record<string, string>>): Promise<Response>;
  /** Signs in as Ada. Resolves to the cookies, as the next request sends them. */
  signIn(userAgent?: string): Promise<string>;
  /** Resolves to the heading of the page that a browser with this cookie gets. */
  seen(cookie: string): Promise<string | undefined>;
}

/** @param address the store's address, as for `--store` */
export async function visitDemo(
  address: string,
  options: Omit<DemoOptions, "store" | "place" | "port"> = {},
): Promise<Visit> {
  const opened = await openStore(address);
  const demo = await startDemo({ ...opened, ...options, port: 0 });
  const get: Visit["get"] = (cookie = "", path = "/") =>
    fetch(demo.url + path, { headers: { cookie }, redirect: "manual" });
  const post: Visit["post"] = (path, cookie = "", form = {}) =>
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
    async seen(cookie) {
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
