import { Authenticator, Strategy } from "@fastify/passport";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { watched } from "@tenure/store-wrappers/watched";
import { hearWarnings } from "@tenure/store-wrappers/warnings";
import fastify, { type FastifyRequest } from "fastify";
import { expect, test } from "vitest";
import { fastifySessionStore } from "../src/index.ts";
import { SECRET } from "./site.ts";

/** Logs in the user that the query names. */
class Named extends Strategy {
  constructor() {
    super("named");
  }
  override authenticate(request: FastifyRequest): void {
    this.success({ id: (request.query as { readonly user: string }).user });
  }
}

interface Gate {
  readonly reached: PromiseWithResolvers<void>;
  readonly opened: PromiseWithResolvers<void>;
}

interface PassportSite extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly gate: Gate;
  browser(): Visitor;
}

/**
 * An application with @fastify/passport, set up as in its README. `/carry` regenerates and keeps the user.
 */
async function serve(beforeCall?: (call: string) => unknown): Promise<PassportSite> {
  const sessions = new Sessions({ store: watched(memoryStore(), beforeCall).store });
  const store = fastifySessionStore(sessions);
  const app = fastify({ forceCloseConnections: true });
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    idGenerator: store.idGenerator,
    secret: SECRET,
    cookie: { secure: false },
    saveUninitialized: false,
  });
  const passport = new Authenticator();
  await app.register(passport.initialize());
  await app.register(passport.secureSession());
  passport.use(new Named());
  passport.registerUserSerializer(async (user: { id: string }) => user.id);
  passport.registerUserDeserializer(async (id: string) => ({ id }));
  const gate = { reached: Promise.withResolvers<void>(), opened: Promise.withResolvers<void>() };
  app.get("/login", { preValidation: passport.authenticate("named", { authInfo: false }) }, async () => ({}));
  const redirecting = passport.authenticate("named", { authInfo: false, successRedirect: "/me" });
  app.get("/login-and-redirect", { preValidation: redirecting }, async () => "a second response");
  app.get("/login-and-redirect-once", { preValidation: redirecting }, () => undefined);
  app.get("/me", async (request) => (request.user as { id: string } | null)?.id ?? "nobody");
  app.get("/logout", async (request) => request.logOut());
  app.get("/logout-with-message", async (request) => {
    await request.logOut();
    (request.session as unknown as Record<string, unknown>)["message"] = "goodbye";
  });
  app.get("/message", async (request) => (request.session as unknown as Record<string, unknown>)["message"]);
  app.get("/slow-logout", async (request) => {
    gate.reached.resolve();
    await gate.opened.promise;
    await request.logOut();
  });
  app.get("/carry", async (request) => {
    const session = (): Record<string, unknown> => request.session;
    const user = session()["passport"];
    await request.session.regenerate();
    session()["passport"] = user;
  });
  app.get("/rotate", async (request) => store.rotate(request));
  const origin = await app.listen({ host: "127.0.0.1", port: 0 });
  return { sessions, gate, browser: () => visitor(origin), [Symbol.asyncDispose]: () => app.close() };
}

async function loggedIn(site: PassportSite, user: string): Promise<Visitor> {
  const browser = site.browser();
  await browser.get(`/login?user=${user}`);
  return browser;
}

test("a user of @fastify/passport is recognized, listed and logged out everywhere without any option", async () => {
  await using site = await serve();
  const [ada, bob] = [await loggedIn(site, "ada"), await loggedIn(site, "bob")];
  expect((await ada.get("/me")).text).toBe("ada");
  await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
  await expect(site.sessions.revokeAllForUser("ada")).resolves.toBe(1);
  expect((await ada.get("/me")).text).toBe("nobody");
  expect((await bob.get("/me")).text).toBe("bob");
});

test.each([
  ["/login-and-redirect", ["TENURE_SENT_TWICE"]],
  ["/login-and-redirect-once", []],
])("%s redirects and logs in, and gives the warnings %j", async (path, codes) => {
  using warnings = hearWarnings();
  await using site = await serve();
  const browser = site.browser();
  const { status, headers } = await browser.get(`${path}?user=ada`);
  expect([status, headers.get("location")]).toEqual([302, "/me"]);
  expect((await browser.get("/me")).text).toBe("ada");
  await expect.poll(() => warnings.codes).toEqual(codes);
});

test("@fastify/passport's logOut ends the session", async () => {
  await using site = await serve();
  const ada = await loggedIn(site, "ada");
  const thief = ada.twin();
  await ada.get("/logout");
  expect((await ada.get("/me")).text).toBe("nobody");
  expect((await thief.get("/me")).text).toBe("nobody");
  await expect(site.sessions.revokeAllForUser("ada")).resolves.toBe(0);
});

test("data that a request stores after @fastify/passport's logOut are in a new session", async () => {
  await using site = await serve();
  const ada = await loggedIn(site, "ada");
  await ada.get("/logout-with-message");
  expect((await ada.get("/message")).text).toBe("goodbye");
  await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ userId: null }]);
});

test.each(["/carry", "/rotate"])(
  "@fastify/passport's logOut ends the session even if %s has replaced its token since the request began",
  async (path) => {
    await using site = await serve();
    const ada = await loggedIn(site, "ada");
    const logout = ada.twin().get("/slow-logout");
    await site.gate.reached.promise;
    await ada.get(path);
    expect((await ada.get("/me")).text).toBe("ada");
    site.gate.opened.resolve();
    await logout;
    expect((await ada.get("/me")).text).toBe("nobody");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  },
);

test("@fastify/passport's logOut logs out even during a request that regenerates and keeps the user", async () => {
  let delay = 0;
  await using site = await serve(() => new Promise((resolve) => setTimeout(resolve, Math.random() * delay)));
  for (let round = 0; round < 30; round += 1) {
    delay = 0;
    const ada = await loggedIn(site, "ada");
    const tabs = [ada.twin(), ada.twin()] as const;
    delay = 5;
    const order = round % 2 === 0 ? tabs : tabs.toReversed();
    await Promise.all(order.map((tab) => tab.get(tab === tabs[0] ? "/logout" : "/carry")));
    delay = 0;
    for (const browser of [ada, ...tabs]) expect((await browser.get("/me")).text).toBe("nobody");
  }
});

test("a revokeAllForUser while @fastify/passport logs in leaves nobody logged in", async () => {
  let isArmed = false;
  const calls = ["read", "update", "create"];
  for (const step of calls) {
    await using site = await serve(async (call) => {
      if (!isArmed || call !== step) return;
      isArmed = false;
      await site.sessions.revokeAllForUser("ada");
    });
    const ada = await loggedIn(site, "ada");
    if (step === "create") ada.cookies.clear();
    isArmed = true;
    await ada.get("/login?user=ada");
    expect(isArmed).toBe(false);
    expect((await ada.get("/me")).text).toBe("nobody");
  }
});
