import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionsOptions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { gates } from "./gates.ts";
import { bridgeOfGuide, type GuideSession, loadGuide } from "./guide.ts";
import { login, onStage } from "./stage.ts";

describe("the bridge of the guide", () => {
  test("takes a login after a logout in one request", async () => {
    const open = { store: memoryStore(), close: async () => undefined };
    await onStage(bridgeOfGuide, open, async ({ serve, sessions, userId }) => {
      const all = sessions();
      const { browser } = await serve(all);
      const alice = browser();
      await alice.does(...login(userId));
      const thief = alice.twin();
      await alice.does("destroy", ...login(userId));
      await expect(alice.userId()).resolves.toBe(userId);
      await expect(thief.userId()).resolves.toBeUndefined();
      await expect(all.listForUser(userId)).resolves.toHaveLength(1);
    });
  });

  for (const slowly of ["rotate", "regenerate", "save"] as const) {
    test(`keeps a browser logged out that logged out beside a slow request: ${slowly}`, async () => {
      const doors = gates();
      await using site = await servePages({
        // Sessions cannot recognise a user in these data.
        "/login": async (session) => void (session.data["user"] = "ada"),
        "/slow": async (session) => {
          await doors.pass("slow");
          await session[slowly]();
          session.data["user"] ??= "ada";
        },
        "/logout": (session) => session.logOut(),
      });
      const browser = site.browser();
      await browser.get("/login");
      expect((await browser.get("/")).text).toContain("ada");
      const slow = browser.get("/slow");
      await doors.reached("slow");
      const thief = browser.twin();
      await browser.get("/logout");
      doors.open("slow");
      await expect(slow).resolves.toMatchObject({ status: 200, setCookies: [] });
      expect((await browser.get("/")).text).toBe("{}");
      expect((await thief.get("/")).text).toBe("{}");
    });
  }

  test("logs in with a new token and keeps what an anonymous visitor did", async () => {
    await using site = await servePages({
      "/fill": async (session) => void (session.data["cart"] = 1),
      "/login": async (session) => void (await session.logIn("ada")),
    });
    const browser = site.browser();
    await browser.get("/fill");
    const planted = browser.twin();
    await browser.get("/login");
    await expect(browser.get("/")).resolves.toMatchObject({ text: '{"cart":1}' });
    await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
    await expect(planted.get("/")).resolves.toMatchObject({ text: "{}" });
  });

  for (const way of ["/logout", "/everywhere"]) {
    test(`${way} neither ends a login that replaced a visitor's cookie nor clears its cookie: that one may have been planted`, async () => {
      await using site = await servePages({
        "/fill": async (session) => void (session.data["cart"] = 1),
        "/login": async (session) => void (await session.logIn("ada")),
        "/logout": (session) => session.logOut(),
        "/everywhere": async (session) => void (await session.logOutEverywhere()),
      });
      const browser = site.browser();
      await browser.get("/fill");
      const planted = browser.twin();
      await browser.get("/login");
      await expect(planted.get(way)).resolves.toMatchObject({ status: 200, setCookies: [] });
      await expect(browser.get("/")).resolves.toMatchObject({ text: '{"cart":1}' });
      await browser.get(way);
      expect(browser.cookies.size).toBe(0);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    });
  }

  test("refuses a login that began before the user was logged out everywhere", async () => {
    const doors = gates();
    let refused: unknown;
    await using site = await servePages({
      "/login": async (session) => {
        await doors.pass("password");
        refused = await session.logIn("ada");
      },
    });
    const browser = site.browser();
    const answer = browser.get("/login");
    await doors.reached("password");
    await site.sessions.revokeAllForUser("ada");
    doors.open("password");
    await answer;
    expect(refused).toBe("logged-out-meanwhile");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(browser.cookies.size).toBe(0);
  });

  test("logs out everywhere, or everywhere else", async () => {
    await using site = await servePages({
      "/login": async (session) => void (await session.logIn("ada")),
      "/others": async (session) => void (await session.logOutEverywhere({ keepThis: true })),
      "/everywhere": async (session) => void (await session.logOutEverywhere()),
      "/who": async (session) => void (session.data["who"] = session.userId),
    });
    const [laptop, phone] = [site.browser(), site.browser()];
    await laptop.get("/login");
    await phone.get("/login");
    await laptop.get("/others");
    await expect(laptop.get("/who")).resolves.toMatchObject({ text: '{"who":"ada"}' });
    await expect(phone.get("/who")).resolves.toMatchObject({ text: '{"who":null}' });
    await laptop.get("/everywhere");
    expect(laptop.cookies.size).toBe(0);
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("leaves the new cookie alone in a response to a request with the cookie from before a rotation", async () => {
    await using site = await servePages({
      "/login": async (session) => void (await session.logIn("ada")),
      "/rotate": async (session) => void (await session.rotate()),
      "/note": async (session) => void (session.data["note"] = 1),
    });
    const browser = site.browser();
    await browser.get("/login");
    const late = browser.twin();
    await browser.get("/rotate");
    expect(browser.cookies).not.toEqual(late.cookies);
    await expect(late.get("/note")).resolves.toMatchObject({ status: 200, setCookies: [] });
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: {} }]);
  });

  test("gives the cookie of a login that is remembered as long as its idle timeout", async () => {
    const options = { idleTimeout: "30m", maxIdleTimeout: "14d", lifetime: "30d" } as const;
    await using site = await servePages(
      { "/login": async (session) => void (await session.logIn("ada", { idle: "14d" })) },
      options,
    );
    const { setCookies } = await site.browser().get("/login");
    expect(setCookies).toEqual([expect.stringContaining("; Max-Age=1209600")]);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 14 * 24 * 3600_000 }]);
  });
});

type Handler = (session: GuideSession) => Promise<void>;

interface Served extends AsyncDisposable {
  readonly sessions: Sessions;
  browser(): Visitor;
}

/** Serves a site whose pages each do one thing and respond with the session's data. */
async function servePages(
  pages: Readonly<Record<string, Handler>>,
  options: Omit<SessionsOptions, "store"> = {},
): Promise<Served> {
  const { httpSessions } = await loadGuide();
  const sessions = new Sessions({ store: memoryStore(), ...options });
  const sessionOf = httpSessions(sessions);

  async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const session = await sessionOf(request, response);
    await pages[request.url ?? ""]?.(session);
    await session.save();
    response.end(JSON.stringify(session.data));
  }

  const server = http.createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    sessions,
    browser: () => visitor(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
