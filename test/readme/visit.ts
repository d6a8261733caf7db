import { type BrowserResponse, type Visitor, visitor } from "@tenure/cookie-client";
import { expect } from "vitest";
import type { Message } from "./run.ts";

type Event = Extract<Message, { kind: "event" }>;

/**
 * Visits the application of a README as its users would. If the application has a login, two browsers log in.
 * Then one logs out everywhere and one logs out, if the application offers that. Each logout must end the
 * sessions that it should.
 *
 * @param text the program, whose routes are visited
 * @param events the events of its sessions. The caller appends to the array during the visit
 */
export async function visit(origin: string, text: string, events: readonly Event[]): Promise<void> {
  const routes = routesOf(text);
  const login = routes.find(({ path }) => /log-?in|sign-?in/iu.test(path));
  const everywhere = routes.find(({ path }) => /everywhere|\ball\b|others/iu.test(path));
  const logout = routes.find(({ path }) => /log-?out$|sign-?out$/iu.test(path));
  if (/log-?in|sign-?in/iu.test(text)) expect(login, "a login route that this test recognises").toBeDefined();
  const since = (mark: number, is: (event: Event) => boolean): Event[] => events.slice(mark).filter(is);

  const anonymous = visitor(origin);
  for (const route of routes) {
    if (route !== login) expectNoFailure(route, await request(anonymous, route));
  }
  await request(anonymous, { method: "get", path: "/" });

  if (!login) return;
  const [phone, laptop] = [visitor(origin), visitor(origin)];
  for (const browser of [phone, laptop]) {
    const mark = events.length;
    expectNoFailure(login, await request(browser, login));
    expect([...browser.cookies], "logging in sets a cookie").not.toEqual([]);
    // Some frameworks save only when the response ends.
    await expect
      .poll(() => since(mark, ({ name }) => name === "created" || name === "rotated"), { timeout: EVENT_MS })
      .not.toEqual([]);
  }
  if (everywhere) {
    const mark = events.length;
    expectNoFailure(everywhere, await request(laptop, everywhere));
    const atLeast = /others/iu.test(everywhere.path) ? 1 : 2;
    // Events arrive by a different channel than the response, and may arrive after it.
    await expect
      .poll(() => since(mark, ({ name, why }) => name === "revoked" && why === "user").at(-1)?.count ?? 0, {
        message: "the number of sessions that it ended",
        timeout: EVENT_MS,
      })
      .toBeGreaterThanOrEqual(atLeast);
  }
  if (logout) {
    expectNoFailure(login, await request(phone, login));
    const mark = events.length;
    expectNoFailure(logout, await request(phone, logout));
    await expect
      .poll(() => since(mark, ({ name, why }) => name === "revoked" && why === "logout"), {
        timeout: EVENT_MS,
      })
      .not.toEqual([]);
  }
}

/** How long an event may take to reach this process. */
const EVENT_MS = 20_000;

interface Route {
  readonly method: "get" | "post";
  readonly path: string;
}

function routesOf(text: string): Route[] {
  const declared = [...text.matchAll(/\.(get|post|all)(?:<[^>]*>)?\(\s*["'`](\/[^"'`]*)["'`]/gu)];
  const named = [...text.matchAll(/["'`](GET|POST) (\/[^"'`]*)["'`]/gu)];
  const compared = [...text.matchAll(/(?:===|case)()\s*["'`](\/[\w/-]*)["'`]/gu)];
  return [...declared, ...named, ...compared].map(([, method = "", path = "/"]) => ({
    method: method.toLowerCase() === "get" ? "get" : "post",
    path: path.replaceAll(/:\w+/gu, "x"),
  }));
}

function request(browser: Visitor, { method, path }: Route): Promise<BrowserResponse> {
  if (method === "get") return browser.get(path);
  return browser.post(path, { username: "ada", password: "a password", userId: "ada" });
}

function expectNoFailure({ method, path }: Route, { status, text }: BrowserResponse): void {
  expect(status, `${method} ${path}: ${text.slice(0, 300)}`).toBeLessThan(500);
}
