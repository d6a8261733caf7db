import { setTimeout as sleep } from "node:timers/promises";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionsOptions } from "@tenure/core";
import { expressSessionStore, type ExpressSessionStoreOptions } from "@tenure/express-session";
import { watched } from "@tenure/watched-store";
import type { Request } from "express";
import type { SessionOptions } from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { called } from "./called.ts";
import { clock as newClock } from "./clock.ts";
import { startSlow } from "./race.ts";
import { serve } from "./serve.ts";

const MINUTE = 60_000;

async function start(
  policy: Partial<SessionsOptions> = {},
  options: Partial<SessionOptions> = {},
  bridgeOptions: ExpressSessionStoreOptions = {},
) {
  const clock = newClock();
  const { store, look: calls } = watched(memoryStore({ clock }));
  const sessions = new Sessions({ store, idleTimeout: "30m", lifetime: "12h", ...policy });
  const bridge = expressSessionStore(sessions, bridgeOptions);
  const { app, routes, errors } = application(bridge, options);
  routes.get("/who", (req, res) => res.json(bridge.userOf(req)));
  routes.post("/remember", async (req, res) => {
    const { refused } = await bridge.logIn(req, "ada", { idle: "30d", lifetime: "90d" });
    res.json(refused);
  });
  const browser = visitor(await serve(app));
  const who = async (of: Visitor): Promise<unknown> => JSON.parse((await of.get("/who")).text);
  const data = async (of: Visitor): Promise<unknown> => JSON.parse((await of.get("/me")).text);
  return { clock, store, calls, sessions, bridge, routes, errors, browser, who, data };
}

/** This process estimates the store's clock, which a test sets, from its own. */
function aTouchIsDue(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

describe("logIn", () => {
  test("gives a new token, keeps an anonymous session's data, and leaves the old token dead", async () => {
    const { browser, who, data, store } = await start();
    await browser.post("/slow?do=set:cart");
    const planted = browser.twin();
    expect((await browser.post("/slow?do=set:unsaved,logIn:ada,set:after")).setCookies).toHaveLength(1);
    expect(await who(browser)).toBe("ada");
    expect(Object.keys((await data(browser)) as object)).toEqual(["cart", "unsaved", "after"]);
    expect(await who(planted)).toBeNull();
    await planted.post("/logout");
    expect(await who(browser)).toBe("ada");
    expect(await aliveIn(store)).toEqual(["ada"]);
  });

  test("costs the read of the request and one write", async () => {
    const { browser, calls } = await start();
    await browser.post("/slow?do=logIn:ada");
    expect(calls()).toEqual(["create"]);
    await browser.post("/slow?do=set:a,logIn:ada");
    expect(calls()).toEqual(["read", "update"]);
  });

  test.for([1n, 7, "7", 2n ** 70n])("takes the user id %s", async (user) => {
    const { browser, bridge, routes, who } = await start();
    routes.post("/in", async (req, res) => res.json(await bridge.logIn(req, user)));
    expect((await browser.post("/in")).text).toBe('{"refused":null}');
    expect(await who(browser)).toBe(String(user));
  });

  test.for(["", true, {}, 1.5])("refuses %o, which cannot name a user, with a TypeError", async (user) => {
    const { browser, bridge, routes, who } = await start();
    routes.post("/in", async (req, res) => res.json(await bridge.logIn(req, user as string)));
    expect((await browser.post("/in")).text).toMatch(/^TypeError: a user id must be/);
    expect(await who(browser)).toBeNull();
  });

  test("over another user's session keeps the keys that are named, and ends that session", async () => {
    const { browser, bridge, routes, store, who, data } = await start();
    await browser.post("/slow?do=set:basket,set:isAdmin,logIn:ada");
    const ada = browser.twin();
    routes.post("/bob", async (req, res) => {
      await bridge.logIn(req, "bob", { keep: ["basket"] });
      const { cookie: _, ...shown } = req.session;
      res.json(shown);
    });
    expect(JSON.parse((await browser.post("/bob")).text)).toEqual({ basket: "basket of someone" });
    expect(await data(browser)).toEqual({ basket: "basket of someone" });
    expect([await who(browser), await who(ada)]).toEqual(["bob", null]);
    expect(await aliveIn(store)).toEqual(["bob"]);
  });

  test("that began before a revoke-all is refused: nobody is logged in, req.session is blank, no cookie is set", async () => {
    const { browser, bridge, routes, sessions, store } = await start();
    await browser.post("/slow?do=set:cart");
    routes.post("/in", async (req, res) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await sessions.revokeAllForUser("ada");
      const { refused } = await bridge.logIn(req, "ada");
      const { cookie: _, ...shown } = req.session;
      req.session["late"] = true;
      res.json([refused, shown, bridge.userOf(req)]);
    });
    const { text, setCookies } = await browser.post("/in");
    expect([text, setCookies]).toEqual(['["logged-out-meanwhile",{},null]', []]);
    expect(await aliveIn(store)).toEqual([]);
    expect((await browser.post("/slow?do=logIn:ada")).setCookies).toHaveLength(1);
    expect(await aliveIn(store)).toEqual(["ada"]);
  });

  test("that began before a revoke-all is refused after a reload, too", async () => {
    const { browser, bridge, routes, sessions, store } = await start();
    await browser.post("/slow?do=set:cart");
    routes.post("/in", async (req, res) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await sessions.revokeAllForUser("ada");
      await called((done) => req.session.reload(done));
      res.json(await bridge.logIn(req, "ada"));
    });
    expect((await browser.post("/in")).text).toBe('{"refused":"logged-out-meanwhile"}');
    expect(await aliveIn(store)).toEqual([]);
  });

  test("is refused at the cap, and changes nothing", async () => {
    const { browser, bridge, routes, data, store } = await start({ maxPerUser: 1, onCap: "refuse" });
    await browser.twin().post("/slow?do=logIn:ada");
    await browser.post("/slow?do=set:cart");
    routes.post("/in", async (req, res) => res.json(await bridge.logIn(req, "ada")));
    expect((await browser.post("/in")).text).toBe('{"refused":"too-many-sessions"}');
    expect(await data(browser)).toEqual({ cart: "cart of someone" });
    expect(await aliveIn(store)).toEqual(["ada", "nobody"]);
  });

  test("after a logout in the same request begins a new session", async () => {
    const { browser, bridge, routes, who, store } = await start();
    await browser.post("/slow?do=set:a,logIn:ada");
    routes.post("/switch", async (req, res) => {
      await bridge.logOut(req);
      await bridge.logIn(req, "bob");
      res.json(Object.keys(req.session));
    });
    expect((await browser.post("/switch")).text).toBe('["cookie"]');
    expect(await who(browser)).toBe("bob");
    expect(await aliveIn(store)).toEqual(["bob"]);
  });

  test.for(["set:cart", ""])(
    "loses to a logout of the same request that begins while it runs, and leaves no session (%s)",
    async (visit) => {
      const { browser, bridge, routes, who, store } = await start();
      if (visit !== "") await browser.post(`/slow?do=${visit}`);
      routes.post("/both", async (req, res) => {
        const login = bridge.logIn(req, "ada");
        await bridge.logOut(req);
        res.json([await login, bridge.userOf(req)]);
      });
      expect((await browser.post("/both")).text).toBe('[{"refused":"logged-out-meanwhile"},null]');
      expect(await who(browser)).toBeNull();
      expect(await aliveIn(store)).toEqual([]);
    },
  );

  test("of an object that an application held from before, a save stores nothing", async () => {
    const { browser, bridge, routes, data } = await start();
    routes.post("/in", async (req, res) => {
      const before = req.session;
      await bridge.logIn(req, "ada");
      before["late"] = true;
      await called((done) => before.save(done));
      res.end();
    });
    expect((await browser.post("/in")).status).toBe(200);
    expect(await data(browser)).toEqual({});
  });
});

describe("remember me", () => {
  const policy = { maxIdleTimeout: "30d", maxLifetime: "90d" } as const;

  test("a login's own idle timeout and lifetime hold for the cookie and the record together", async () => {
    const { browser, sessions, clock, who } = await start({ ...policy, touchEvery: "1ms" });
    const { setCookies } = await browser.post("/remember");
    const expires = Date.parse(/Expires=([^;]+)/.exec(setCookies[0]!)![1]!);
    expect(expires - Date.now()).toBeCloseTo(30 * 24 * 60 * MINUTE, -5);
    const [device] = await sessions.listForUser("ada");
    expect(device!.idle).toBe(30 * 24 * 60 * MINUTE);
    expect(device!.endsAt - device!.createdAt).toBe(90 * 24 * 60 * MINUTE);
    for (let i = 0; i < 2; i += 1) {
      clock.advance(29 * 24 * 60 * MINUTE);
      await aTouchIsDue();
      expect(await who(browser)).toBe("ada");
    }
  });

  test("a later login without it has the policy's timeouts and the middleware's cookie again", async () => {
    const { browser, sessions } = await start(policy);
    await browser.post("/remember");
    const { setCookies } = await browser.post("/slow?do=logIn:ada");
    expect(setCookies[0]).not.toContain("Expires");
    expect((await sessions.listForUser("ada"))[0]).toMatchObject({ idle: 30 * MINUTE });
  });

  test("costs one write, warns of nothing, and is a TypeError above the policy's maximum", async () => {
    const { browser, calls } = await start(policy);
    await browser.post("/slow?do=set:a");
    calls();
    await browser.post("/remember");
    expect(calls()).toEqual(["read", "update"]);
    const { browser: other } = await start();
    expect((await other.post("/remember")).text).toMatch(/^TypeError: idle is longer than the policy allows/);
  });
});

describe("logOut and logOutEverywhere", () => {
  async function threeBrowsers() {
    const site = await start();
    const browsers = [site.browser, site.browser.twin(), site.browser.twin()];
    for (const browser of browsers) await browser.post("/slow?do=logIn:ada");
    site.routes.post("/out", async (req, res) => {
      await site.bridge.logOut(req);
      res.json(req.session ?? null);
    });
    site.routes.post("/everywhere", async (req, res) => {
      const keepThis = req.url.endsWith("?but-here");
      const count = await site.bridge.logOutEverywhere(req, { keepThis });
      res.json([count, site.bridge.userOf(req)]);
    });
    const loggedIn = (): Promise<unknown[]> => Promise.all(browsers.map(site.who));
    return { ...site, browsers, loggedIn };
  }

  test("logOut ends this session and no other", async () => {
    const { browser, loggedIn } = await threeBrowsers();
    expect((await browser.post("/out")).text).toBe("null");
    expect(await loggedIn()).toEqual([null, "ada", "ada"]);
  });

  test("logOutEverywhere ends all, and returns how many", async () => {
    const { browser, loggedIn } = await threeBrowsers();
    expect((await browser.post("/everywhere")).text).toBe("[3,null]");
    expect(await loggedIn()).toEqual([null, null, null]);
  });

  test("keepThis keeps this one, and what the same request makes of it by regenerate", async () => {
    const { browser, loggedIn, routes, bridge, data } = await threeBrowsers();
    expect((await browser.post("/everywhere?but-here")).text).toBe('[2,"ada"]');
    expect(await loggedIn()).toEqual(["ada", null, null]);
    await browser.post("/slow?do=login:ada");
    routes.post("/password", async (req, res) => {
      await bridge.logOutEverywhere(req, { keepThis: true });
      await called((done) => req.session.regenerate(done));
      req.session.userId = "ada";
      res.end();
    });
    await browser.post("/password");
    expect(await loggedIn()).toEqual(["ada", null, null]);
    expect(await data(browser)).toEqual({ userId: "ada" });
  });

  test("each is a TypeError, with what to do, where the middleware has not run", async () => {
    const { bridge } = await start();
    const req = {} as never;
    for (const call of [
      () => bridge.logIn(req, "ada"),
      () => bridge.logOut(req),
      () => bridge.logOutEverywhere(req),
      () => bridge.rotate(req),
      async () => bridge.userOf(req),
    ]) {
      await expect(call()).rejects.toThrow(/^this request has no session of this store: call app\.use/);
    }
  });
});

describe("a cookie from before a login or a rotation of another request", () => {
  test("is not overwritten for 30 seconds, and nothing is stored", async () => {
    const { browser, clock, store, sessions, who } = await start({}, { saveUninitialized: true });
    await browser.post("/slow?do=logIn:ada");
    const old = browser.twin();
    await browser.post("/slow?do=rotate");
    for (const steps of ["", "set:a", "set:a,save,set:b", "maxAge:60000", "rotate", "rotate,set:a"]) {
      expect(await old.post(`/slow?do=${steps}`)).toMatchObject({ status: 200, setCookies: [] });
    }
    expect(await aliveIn(store)).toEqual(["ada"]);
    clock.advance(31_000);
    // The store's clock is sampled again after each revoke-all.
    await sessions.revokeAllForUser("nobody in particular");
    expect((await old.post("/slow?do=set:a")).setCookies).toHaveLength(1);
    expect(await who(browser)).toBe("ada");
  });

  test.for(["login:ada", "logIn:ada", "regenerate,login:ada"])("may log in (%s)", async (steps) => {
    const { browser, who } = await start();
    await browser.post("/slow?do=logIn:ada");
    const old = browser.twin();
    await browser.post("/slow?do=rotate");
    expect((await old.post(`/slow?do=${steps}`)).setCookies).toHaveLength(1);
    expect(await who(old)).toBe("ada");
  });

  test.for(["keep", "destroy"] as const)(
    "logs out: the person pressed the button (unset: %s)",
    async (unset) => {
      const { browser, routes, store } = await start({}, { unset });
      await browser.post("/slow?do=logIn:ada");
      const old = browser.twin();
      await browser.post("/slow?do=rotate");
      routes.post("/drop", (req, res) => {
        Object.assign(req, { session: null });
        res.end();
      });
      await old.post(unset === "destroy" ? "/drop" : "/logout");
      expect(await aliveIn(store)).toEqual([]);
    },
  );

  test.for(["destroy", "drop"])(
    "a request that loaded it before two rotations logs out, too (%s)",
    async (step) => {
      const { browser, store } = await start({}, { unset: "destroy" });
      await browser.post("/slow?do=logIn:ada");
      const slow = await startSlow(browser.twin(), step);
      await browser.post("/slow?do=rotate");
      await browser.post("/slow?do=rotate");
      await slow.finish();
      expect(await aliveIn(store)).toEqual([]);
    },
  );

  test("logs out by a regenerate that names nobody, as passport does", async () => {
    const { browser, store } = await start();
    await browser.post("/slow?do=logIn:ada");
    const old = browser.twin();
    await browser.post("/slow?do=rotate");
    await old.post("/slow?do=delete:userId,save,regenerate");
    expect(await aliveIn(store)).not.toContain("ada");
  });
});

describe("a framework's regenerate", () => {
  test("in its gap, log out everywhere ends the session, and carrying the user over logs nobody in", async () => {
    const { browser, routes, sessions, store, who } = await start();
    await browser.post("/login?user=ada");
    let count = 0;
    routes.post("/gap", async (req, res) => {
      await called((done) => req.session.regenerate(done));
      expect(await sessions.listForUser("ada")).toEqual([]);
      count = await sessions.revokeAllForUser("ada");
      req.session.userId = "ada";
      res.end();
    });
    expect((await browser.post("/gap")).status).toBe(200);
    expect(count).toBe(1);
    expect(await who(browser)).toBeNull();
    expect(await aliveIn(store)).toEqual([]);
  });

  test("that is never saved leaves a session that nobody can use, and that the old token logs out", async () => {
    const { browser, routes, sessions, store, who } = await start();
    await browser.post("/login?user=ada");
    routes.post("/gap", async (req, res) => {
      await called((done) => req.session.regenerate(done));
      Object.assign(req, { session: undefined });
      res.end();
    });
    await browser.post("/gap");
    expect(await who(browser)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
    expect(await aliveIn(store)).toEqual(["ada"]);
    await browser.post("/logout");
    expect(await aliveIn(store)).toEqual([]);
  });

  test("and a logout in passport's manner at once leave nobody logged in", async () => {
    for (let round = 0; round < 20; round += 1) {
      const { browser, who, store } = await start();
      await browser.post("/login?user=ada");
      const carrying = browser.twin();
      const slow = await startSlow(carrying, "carry");
      const leaving = browser.twin();
      await Promise.all([leaving.post("/slow?do=delete:userId,save,regenerate"), slow.finish()]);
      for (const one of [browser, carrying, leaving]) expect(await who(one)).toBeNull();
      expect(await aliveIn(store)).not.toContain("ada");
    }
  });

  test("after the user was deleted is a logout, also if another request has rotated meanwhile", async () => {
    const { browser, store } = await start();
    await browser.post("/login?user=ada");
    const slow = await startSlow(browser.twin(), "delete:userId,regenerate,set:goodbye");
    await browser.post("/slow?do=rotate");
    await slow.finish();
    expect(await aliveIn(store)).not.toContain("ada");
  });

  test("called before a save that is still under way has ended gives a token that works", async () => {
    const { browser, routes, who } = await start();
    routes.post("/hasty", async (req, res) => {
      req.session["a"] = 1;
      req.session.save();
      await called((done) => req.session.regenerate(done));
      req.session.userId = "ada";
      res.end();
    });
    await browser.post("/hasty");
    expect(await who(browser)).toBe("ada");
  });
});

describe("polling", () => {
  test("a request for which isUse returns false extends nothing, whatever it does", async () => {
    const isUse = (req: { readonly url: string }): boolean => !req.url.includes("poll");
    const { browser, clock, who } = await start({ touchEvery: "1ms" }, {}, { isUse });
    await browser.post("/login?user=ada");
    for (const path of ["/me?poll", "/slow?do=set:poll", "/slow?do=maxAge:1200000,set:poll"]) {
      clock.advance(9 * MINUTE);
      await aTouchIsDue();
      expect((await (path.startsWith("/me") ? browser.get(path) : browser.post(path))).status).toBe(200);
    }
    clock.advance(4 * MINUTE);
    expect(await who(browser)).toBeNull();
  });

  test("is not asked where there is no request, and what it throws is the framework's error", async () => {
    const isUse = (): boolean => {
      throw new Error("of the application");
    };
    const { browser, bridge, sessions } = await start({}, {}, { isUse });
    await browser.post("/login?user=ada");
    expect(await browser.get("/me")).toMatchObject({ status: 500, text: "Error: of the application" });
    const { token } = await sessions.create({ a: 1 });
    expect(await called((done) => bridge.load(token, done))).toMatchObject({ a: 1 });
  });
});

test("loading is the use: a request from 0.7 to 1.3 of the idle timeout keeps the session", async () => {
  const { browser, clock, who } = await start({ touchEvery: "1ms" });
  await browser.post("/slow?do=logIn:ada");
  clock.advance(21 * MINUTE);
  await aTouchIsDue();
  const slow = await startSlow(browser.twin(), "set:a");
  clock.advance(18 * MINUTE);
  await slow.finish();
  expect(await who(browser)).toBe("ada");
});

test("a save that names another user ends the session", async () => {
  const { browser, store } = await start();
  await browser.post("/login?user=ada");
  await browser.post("/slow?do=login:bob");
  expect(await aliveIn(store)).toEqual([]);
});

test.for(["", false, 0.5, {}])("a user that becomes %o is logged out", async (user) => {
  const { browser, routes, store } = await start();
  await browser.post("/login?user=ada");
  routes.post("/change", (req, res) => {
    req.session.userId = user;
    res.end();
  });
  await browser.post("/change");
  expect(await aliveIn(store)).toEqual(["nobody"]);
});

test("a session that cannot be read: its owner gets a blank one, it is listed with its id, and can be ended", async () => {
  const { browser, store, sessions, bridge, data } = await start();
  await browser.post("/login?user=ada");
  const [device] = await sessions.listForUser("ada");
  await store.update(device!.id, { data: "written by hand" });
  expect(await data(browser)).toEqual({});
  expect(await called((done) => bridge.all(done))).toMatchObject([{ id: device!.id }]);
  expect(await called((done) => bridge.length(done))).toBe(1);
  await called((done) => bridge.destroy(device!.id, done));
  expect(await aliveIn(store)).toEqual([]);
});

test("an administrator ends what all() lists, by its id", async () => {
  const { browser, bridge, who } = await start();
  await browser.post("/slow?do=logIn:ada");
  const [listed] = (await called<readonly { id: string }[]>((done) => bridge.all(done)))!;
  await called((done) => bridge.destroy(listed!.id, done));
  expect(await who(browser)).toBeNull();
});

test("a bigint in the data is the framework's own TypeError, which keeps it from ending the response", async () => {
  const { browser, routes, errors, store } = await start();
  routes.post("/bigint", (req, res) => {
    req.session["count"] = 1n;
    res.end();
  });
  const response = browser.post("/bigint").catch(() => undefined);
  await expect.poll(() => errors).toMatchObject([{ name: "TypeError" }]);
  expect(await Promise.race([response, new Promise((resolve) => setTimeout(resolve, 200, "none"))])).toBe(
    "none",
  );
  expect(await aliveIn(store)).toEqual([]);
});

describe("the framework's own calls", () => {
  test("a login whose data name the user by an object is a login, also with a token that another has just replaced", async () => {
    const { browser, who, routes } = await start();
    routes.post("/by-object", (req, res) => {
      req.session.userId = { toJSON: () => "ada" };
      res.end();
    });
    await browser.post("/slow?do=set:cart");
    const late = browser.twin();
    await browser.post("/slow?do=logIn:ada");
    expect((await late.post("/by-object")).setCookies).toHaveLength(1);
    expect(await who(late)).toBe("ada");
  });

  test("a destroy that is not waited for does not end the session that the request begins afterwards", async () => {
    const { browser, data, routes, store } = await start();
    routes.post("/bye", (req, res) => {
      req.session.destroy(() => undefined);
      (req.sessionStore as unknown as { generate(of: typeof req): void }).generate(req);
      req.session["flash"] = "bye";
      res.end();
    });
    await browser.post("/slow?do=login:ada");
    await browser.post("/bye");
    expect(await data(browser)).toEqual({ flash: "bye" });
    expect(await aliveIn(store)).toEqual(["nobody"]);
  });

  test.for(["save", "touch", "save, destroy"])(
    "a %s that is not waited for does not reach the session that the request begins afterwards: no fixation",
    async (calls) => {
      const { browser, who, data, routes } = await start();
      routes.post("/in", async (req, res) => {
        const { session, sessionStore } = req;
        session["seen"] = 1;
        if (calls.includes("save")) session.save(() => undefined);
        if (calls.includes("touch")) {
          session.cookie.maxAge = 60_000;
          sessionStore.touch!(req.sessionID, session, () => undefined);
        }
        if (calls.includes("destroy")) session.destroy(() => undefined);
        (sessionStore as unknown as { generate(of: typeof req): void }).generate(req);
        req.session.userId = "ada";
        await called((done) => req.session.save(done));
        res.end();
      });
      await browser.post("/slow?do=set:cart");
      const planted = browser.twin();
      await browser.post("/in");
      expect(await data(browser)).toEqual({ userId: "ada" });
      expect(await who(planted)).toBeNull();
    },
  );

  test("a regenerate of data that cannot be stored gives a new token all the same: no fixation", async () => {
    const { browser, who, routes } = await start({ maxDataBytes: 1000 });
    routes.post("/large", (req, res) => {
      req.session["large"] = "x".repeat(2000);
      req.session.regenerate((error?: unknown) => {
        req.session.userId = "ada";
        res.end(String(error));
      });
    });
    await browser.post("/slow?do=set:cart");
    const planted = browser.twin();
    expect((await browser.post("/large")).text).toBe("null");
    expect(await who(browser)).toBe("ada");
    expect(await who(planted)).toBeNull();
  });

  test("a regenerate leaves nobody logged in until the request names a user", async () => {
    const { browser, routes, bridge } = await start();
    routes.post("/again", (req, res, next) => {
      req.session.regenerate((error?: unknown) => (error ? next(error) : res.json(bridge.userOf(req))));
    });
    await browser.post("/slow?do=logIn:ada");
    expect((await browser.post("/again")).text).toBe("null");
  });

  test("a destroy by req.sessionID with a user's token that was just replaced ends the session", async () => {
    const { browser, who, routes } = await start();
    routes.post("/out", (req, res, next) => {
      req.sessionStore.destroy(req.sessionID, (error?: unknown) => (error ? next(error) : res.end("bye")));
    });
    await browser.post("/slow?do=logIn:ada");
    const before = browser.twin();
    await browser.post("/slow?do=rotate");
    expect((await before.post("/out")).text).toBe("bye");
    expect(await who(browser)).toBeNull();
  });

  test("a destroy without an id is an error, not a logout that did nothing", async () => {
    const { bridge } = await start();
    await expect(called((done) => bridge.destroy(undefined as never, done))).rejects.toThrow("no session id");
  });

  test("a touch by the application, long after the response, restarts the idle timeout", async () => {
    const bridge = expressSessionStore(new Sessions({ store: memoryStore(), idleTimeout: "2s" }));
    const { app, routes } = application(bridge);
    const held = Promise.withResolvers<Request>();
    routes.get("/hold", (req, res) => {
      held.resolve(req);
      res.end();
    });
    const browser = visitor(await serve(app));
    await browser.post("/slow?do=login:ada");
    await browser.get("/hold");
    const { sessionStore, sessionID, session } = await held.promise;
    for (let touches = 0; touches < 5; touches += 1) {
      await sleep(600);
      await called((done) => sessionStore.touch!(sessionID, session, done));
    }
    expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
  });
});

test("a login of somebody else by a request with an anonymous token leaves a user alone who has logged in with it meanwhile", async () => {
  const { browser, who } = await start();
  await browser.post("/slow?do=set:cart");
  const planted = browser.twin();
  const slow = await startSlow(planted, "logIn:mallory");
  await browser.post("/slow?do=logIn:ada");
  await slow.finish();
  expect(await who(planted)).toBe("mallory");
  expect(await who(browser)).toBe("ada");
});

describe("logOutEverywhere", () => {
  test("with a user's token that another request has just replaced ends all sessions of the user", async () => {
    const { browser, who, routes, bridge } = await start();
    routes.post("/everywhere", async (req, res) => res.json(await bridge.logOutEverywhere(req)));
    await browser.post("/slow?do=logIn:ada");
    const phone = browser.twin();
    phone.cookies.clear();
    await phone.post("/slow?do=logIn:ada");
    const before = browser.twin();
    await browser.post("/slow?do=rotate");
    expect((await before.post("/everywhere")).text).toBe("2");
    expect(await who(phone)).toBeNull();
  });

  test("is before a login that follows in the same request", async () => {
    const { browser, who, routes, bridge } = await start();
    routes.post("/again", async (req, res) => {
      await bridge.logOutEverywhere(req);
      res.json(await bridge.logIn(req, "ada"));
    });
    await browser.post("/slow?do=logIn:ada");
    expect((await browser.post("/again")).text).toBe('{"refused":null}');
    expect(await who(browser)).toBe("ada");
  });
});

test("a login after a logout by the data has nothing that the user before has left, but what is kept by name", async () => {
  const { browser, data, who, routes, bridge } = await start();
  routes.post("/keeping", async (req, res) => res.json(await bridge.logIn(req, "eve", { keep: ["cart"] })));
  await browser.post("/slow?do=set:cart,set:mfa,login:ada");
  await browser.post("/slow?do=delete:userId");
  expect(await data(browser)).toMatchObject({ mfa: "mfa of someone" });
  await browser.post("/keeping");
  expect(await who(browser)).toBe("eve");
  expect(await data(browser)).toEqual({ cart: "cart of someone" });
});
