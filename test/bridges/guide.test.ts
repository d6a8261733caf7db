import http from "node:http";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionsOptions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { createGates } from "./gates.ts";
import { guideBridge, type GuideSession, loadGuide } from "./guide.ts";
import { listen } from "./listen.ts";
import { loggedInBrowser, login, runScenario } from "./run-scenario.ts";

describe("the guide's bridge", () => {
  test("logs in after a logout in the same request, and the old token stops working", async () => {
    await runScenario(guideBridge, memoryStore(), async ({ serve, createSessions, userId }) => {
      const sessions = createSessions();
      const alice = await loggedInBrowser(await serve(sessions), userId);
      const thief = alice.twin();
      await alice.send("destroy", ...login(userId));
      await expect(alice.userId()).resolves.toBe(userId);
      await expect(thief.userId()).resolves.toBeUndefined();
      await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
    });
  });

  for (const call of ["rotate", "regenerate", "save"] as const) {
    test(`keeps a browser logged out if it logs out during a slow request that calls ${call}`, async () => {
      const gates = createGates();
      await using site = await servePages({
        // `Sessions` does not recognise a user under this key.
        "/login": async (session) => void (session.data["user"] = "ada"),
        "/slow": async (session) => {
          await gates.pass("slow");
          await session[call]();
          session.data["user"] ??= "ada";
        },
        "/logout": (session) => session.logOut(),
      });
      const browser = site.browser();
      await browser.get("/login");
      expect((await browser.get("/")).text).toContain("ada");
      const slow = browser.get("/slow");
      await gates.reached("slow");
      const thief = browser.twin();
      await browser.get("/logout");
      gates.open("slow");
      await expect(slow).resolves.toMatchObject({ status: 200, setCookies: [] });
      expect((await browser.get("/")).text).toBe("{}");
      expect((await thief.get("/")).text).toBe("{}");
    });
  }

  for (const path of ["/logout", "/everywhere"]) {
    test(`${path} with the token from before a login neither ends the login nor clears its cookie, because that token may have been planted`, async () => {
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
      await expect(planted.get(path)).resolves.toMatchObject({ status: 200, setCookies: [] });
      await expect(browser.get("/")).resolves.toMatchObject({ text: '{"cart":1}' });
      await browser.get(path);
      expect(browser.cookies.size).toBe(0);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    });
  }

  test("refuses a login that began before the user was logged out everywhere", async () => {
    const gates = createGates();
    let refused: unknown;
    await using site = await servePages({
      "/login": async (session) => {
        await gates.pass("password");
        refused = await session.logIn("ada");
      },
    });
    const browser = site.browser();
    const response = browser.get("/login");
    await gates.reached("password");
    await site.sessions.revokeAllForUser("ada");
    gates.open("password");
    await response;
    expect(refused).toBe("logged-out-meanwhile");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(browser.cookies.size).toBe(0);
  });

  test("logOutEverywhere ends every session of the user, or every session except the current one", async () => {
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

  test("sets no cookie in a response to a request with the cookie from before a rotation", async () => {
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

  test("gives the cookie of a login with its own idle timeout a Max-Age of that length", async () => {
    const options = { idleTimeout: "30m", maxIdleTimeout: "14d", lifetime: "30d" } as const;
    await using site = await servePages(
      { "/login": async (session) => void (await session.logIn("ada", { idle: "14d" })) },
      options,
    );
    const { setCookies } = await site.browser().get("/login");
    expect(setCookies).toEqual([expect.stringContaining("; Max-Age=1209600")]);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 14 * 24 * 3600_000 }]);
  });

  test("keeps the cookies that the application sets, and sets its own once", async () => {
    await using site = await servePages({
      "/login": async (session, response) => {
        response.setHeader("set-cookie", ["theme=dark", "language=en"]);
        await session.logIn("ada");
        await session.logIn("ada");
      },
    });
    const { setCookies } = await site.browser().get("/login");
    expect(setCookies).toEqual(["theme=dark", "language=en", expect.stringMatching(/^__Host-id=/u)]);
  });

  for (const call of ["logIn", "rotate"] as const) {
    test(`leaves the browser logged in if its request fails after ${call}`, async () => {
      await using site = await servePages({
        "/login": async (session) => void (await session.logIn("ada")),
        "/fail": async (session) => {
          await session[call]("ada");
          throw new Error("after the session got a new token");
        },
        "/who": async (session) => void (session.data["who"] = session.userId),
      });
      const browser = site.browser();
      await browser.get("/login");
      await expect(browser.get("/fail")).resolves.toMatchObject({ status: 500 });
      await expect(browser.get("/who")).resolves.toMatchObject({ text: '{"who":"ada"}' });
    });
  }

  test("refuses logIn and rotate once the response has begun, because the new token could not reach the browser", async () => {
    const errors: unknown[] = [];
    await using site = await servePages({
      "/login": async (session) => void (await session.logIn("ada")),
      "/late": async (session, response) => {
        response.write(" ");
        await session.logIn("ada").catch((error: unknown) => errors.push(error));
        await session.rotate().catch((error: unknown) => errors.push(error));
      },
      "/who": async (session) => void (session.data["who"] = session.userId),
    });
    const browser = site.browser();
    await browser.get("/login");
    await browser.get("/late");
    expect(errors).toEqual([expect.any(TypeError), expect.any(TypeError)]);
    await expect(browser.get("/who")).resolves.toMatchObject({ text: '{"who":"ada"}' });
  });
});

type Handler = (session: GuideSession, response: http.ServerResponse) => Promise<void>;

interface Site extends AsyncDisposable {
  readonly sessions: Sessions;
  browser(): Visitor;
}

/** Serves a site whose pages each do one thing and respond with the session's data. */
async function servePages(
  pages: Readonly<Record<string, Handler>>,
  options: Omit<SessionsOptions, "store"> = {},
): Promise<Site> {
  const { httpSessions } = await loadGuide();
  const sessions = new Sessions({ store: memoryStore(), ...options });
  const sessionOf = httpSessions(sessions);

  async function respond(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const session = await sessionOf(request, response);
    await pages[request.url ?? ""]?.(session, response);
    await session.save();
    response.end(JSON.stringify(session.data));
  }

  const server = http.createServer((request, response) => {
    respond(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  const { origin, close } = await listen(server);
  return { sessions, browser: () => visitor(origin), [Symbol.asyncDispose]: close };
}
