import { setTimeout as sleep } from "node:timers/promises";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { type Codec, memoryStore, Sessions, type SessionsOptions } from "@tenure/core";
import { expressSessionStore, type ExpressSessionStoreOptions } from "@tenure/express-session";
import { watched } from "@tenure/store-wrappers/watched";
import type { Request } from "express";
import type { SessionOptions } from "express-session";
import { describe, expect, test, vi } from "vitest";
import { aliveIn, application } from "./app.ts";
import { newClock } from "./clock.ts";
import { collectWarnings } from "./collect-warnings.ts";
import { fromCallback } from "./from-callback.ts";
import { freezeTime } from "./frozen-time.ts";
import { startSlow } from "./race.ts";
import { serve } from "./serve.ts";

const MINUTE = 60_000;

async function start(
  policy: Partial<SessionsOptions> = {},
  options: Partial<SessionOptions> = {},
  bridgeOptions: ExpressSessionStoreOptions = {},
  beforeCall?: () => Promise<void>,
) {
  const clock = newClock();
  const { store, look: calls } = watched(memoryStore({ clock }), beforeCall);
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

/**
 * Waits until a touch is due: longer than a `touchEvery` of 1 ms by this process's clock, not the store's.
 */
async function untilTouchIsDue(): Promise<void> {
  await sleep(5);
}

describe("logIn", () => {
  test.each<[string, (req: Request) => Request]>([
    ["a proxy of the request", (req) => new Proxy(req, {})],
    ["an object that inherits from the request", (req) => Object.create(req) as Request],
  ])("accepts %s, as all calls of the store do", async (_what, derived) => {
    const { browser, who, routes, bridge } = await start();
    routes.post("/derived/login", async (req, res) => {
      await bridge.logIn(derived(req), "ada");
      res.json([bridge.userOf(derived(req)), bridge.userOf(req)]);
    });
    routes.post("/derived/rotate", async (req, res) => void res.json(await bridge.rotate(derived(req))));
    routes.post("/derived/regenerate", async (req, res) => {
      await fromCallback((done) => bridge.regenerate(derived(req), done));
      res.json(bridge.userOf(req));
    });
    routes.post("/derived/logout", async (req, res) => {
      await bridge.logOut(derived(req));
      res.json(req.session === undefined);
    });
    for (let login = 0; login < 2; login += 1) {
      expect((await browser.post("/derived/login")).text).toBe('["ada","ada"]');
      expect(await who(browser)).toBe("ada");
    }
    expect((await browser.post("/derived/rotate")).text).toBe('"rotated"');
    expect(await who(browser)).toBe("ada");
    expect((await browser.post("/derived/logout")).text).toBe("true");
    expect(await who(browser)).toBeNull();
    await browser.post("/derived/login");
    expect((await browser.post("/derived/regenerate")).text).toBe("null");
    expect(await who(browser)).toBeNull();
  });

  test("gives the session a new token, keeps an anonymous session's data, and the old token opens nothing", async () => {
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

  test("costs the request's read and one write", async () => {
    const { browser, calls } = await start();
    await browser.post("/slow?do=logIn:ada");
    expect(calls()).toEqual(["create"]);
    await browser.post("/slow?do=set:a,logIn:ada");
    expect(calls()).toEqual(["read", "update"]);
  });

  test.for([1n, 7, "7", 2n ** 70n])("accepts the user id %s", async (user) => {
    const { browser, bridge, routes, who } = await start();
    routes.post("/in", async (req, res) => res.json(await bridge.logIn(req, user)));
    expect((await browser.post("/in")).text).toBe('{"refused":null}');
    expect(await who(browser)).toBe(String(user));
  });

  test.for(["", true, {}, 1.5])("rejects with a TypeError for %o, which cannot name a user", async (user) => {
    const { browser, bridge, routes, who } = await start();
    routes.post("/in", async (req, res) => res.json(await bridge.logIn(req, user as string)));
    expect((await browser.post("/in")).text).toMatch(/^TypeError: a user id must be/);
    expect(await who(browser)).toBeNull();
  });

  test("in another user's session begins a new session with only the named keys, and ends the other", async () => {
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

  test("is refused if it began before revokeAllForUser: nobody is logged in, req.session is blank, and no cookie is set", async () => {
    const { browser, bridge, routes, sessions, store } = await start();
    await browser.post("/slow?do=set:cart");
    routes.post("/in", async (req, res) => {
      await sleep(5);
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

  test("is refused if it began before revokeAllForUser, even after a reload", async () => {
    const { browser, bridge, routes, sessions, store } = await start();
    await browser.post("/slow?do=set:cart");
    routes.post("/in", async (req, res) => {
      await sleep(5);
      await sessions.revokeAllForUser("ada");
      await fromCallback((done) => req.session.reload(done));
      res.json(await bridge.logIn(req, "ada"));
    });
    expect((await browser.post("/in")).text).toBe('{"refused":"logged-out-meanwhile"}');
    expect(await aliveIn(store)).toEqual([]);
  });

  test("is refused at the cap and changes nothing", async () => {
    const { browser, bridge, routes, data, store } = await start({ maxPerUser: 1, onCap: "refuse" });
    await browser.twin().post("/slow?do=logIn:ada");
    await browser.post("/slow?do=set:cart");
    routes.post("/in", async (req, res) => res.json(await bridge.logIn(req, "ada")));
    expect((await browser.post("/in")).text).toBe('{"refused":"too-many-sessions"}');
    expect(await data(browser)).toEqual({ cart: "cart of someone" });
    expect(await aliveIn(store)).toEqual(["ada", "nobody"]);
  });

  test("begins a new session after a logout in the same request", async () => {
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
    "loses to a logout that the same request begins while it runs, and leaves no session (%s)",
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

  test("replaces req.session, and a save of the previous object stores nothing", async () => {
    const { browser, bridge, routes, data } = await start();
    routes.post("/in", async (req, res) => {
      const before = req.session;
      await bridge.logIn(req, "ada");
      before["late"] = true;
      await fromCallback((done) => before.save(done));
      res.end();
    });
    expect((await browser.post("/in")).status).toBe(200);
    expect(await data(browser)).toEqual({});
  });
});

describe('"remember me"', () => {
  const policy = { maxIdleTimeout: "30d", maxLifetime: "90d" } as const;

  test("applies a login's own idle timeout and lifetime to both the cookie and the record", async () => {
    const { browser, sessions, clock, who } = await start({ ...policy, touchEvery: "1ms" });
    const { setCookies } = await browser.post("/remember");
    const expires = Date.parse(/Expires=([^;]+)/.exec(setCookies[0]!)![1]!);
    expect(expires - Date.now()).toBeCloseTo(30 * 24 * 60 * MINUTE, -5);
    const [device] = await sessions.listForUser("ada");
    expect(device!.idle).toBe(30 * 24 * 60 * MINUTE);
    expect(device!.endsAt - device!.createdAt).toBe(90 * 24 * 60 * MINUTE);
    for (let i = 0; i < 2; i += 1) {
      clock.advance(29 * 24 * 60 * MINUTE);
      await untilTouchIsDue();
      expect(await who(browser)).toBe("ada");
    }
  });

  test("ends with the next plain login, which restores the policy's idle timeout and the middleware's cookie", async () => {
    const { browser, sessions } = await start(policy);
    await browser.post("/remember");
    const { setCookies } = await browser.post("/slow?do=logIn:ada");
    expect(setCookies[0]).not.toContain("Expires");
    expect((await sessions.listForUser("ada"))[0]).toMatchObject({ idle: 30 * MINUTE });
  });

  test("costs one write, gives no warning, and is a TypeError above the policy's maximum", async () => {
    const warnings = collectWarnings();
    const { browser, calls } = await start(policy);
    await browser.post("/slow?do=set:a");
    calls();
    await browser.post("/remember");
    expect(calls()).toEqual(["read", "update"]);
    expect(await warnings()).toEqual([]);
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
      const keepThis = req.url.endsWith("?keep-this");
      const count = await site.bridge.logOutEverywhere(req, { keepThis });
      res.json([count, site.bridge.userOf(req)]);
    });
    const loggedIn = (): Promise<unknown[]> => Promise.all(browsers.map(site.who));
    return { ...site, browsers, loggedIn };
  }

  test("logOut ends only this session", async () => {
    const { browser, loggedIn } = await threeBrowsers();
    expect((await browser.post("/out")).text).toBe("null");
    expect(await loggedIn()).toEqual([null, "ada", "ada"]);
  });

  test("logOutEverywhere ends all of the user's sessions and returns their number", async () => {
    const { browser, loggedIn } = await threeBrowsers();
    expect((await browser.post("/everywhere")).text).toBe("[3,null]");
    expect(await loggedIn()).toEqual([null, null, null]);
  });

  test("keepThis keeps this session, even if the same request then regenerates it", async () => {
    const { browser, loggedIn, routes, bridge, data } = await threeBrowsers();
    expect((await browser.post("/everywhere?keep-this")).text).toBe('[2,"ada"]');
    expect(await loggedIn()).toEqual(["ada", null, null]);
    await browser.post("/slow?do=login:ada");
    routes.post("/password", async (req, res) => {
      await bridge.logOutEverywhere(req, { keepThis: true });
      await fromCallback((done) => req.session.regenerate(done));
      req.session.userId = "ada";
      res.end();
    });
    await browser.post("/password");
    expect(await loggedIn()).toEqual(["ada", null, null]);
    expect(await data(browser)).toEqual({ userId: "ada" });
  });

  test("logOutEverywhere with a token that another request has just replaced ends all of the user's sessions", async () => {
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

  test.for(["logOut", "logOutEverywhere"] as const)(
    "a login after a %s that is not awaited logs in, and one before it is refused",
    async (logout) => {
      const { browser, bridge, routes, who, store } = await start();
      routes.post("/again", async (req, res) => {
        const ending = bridge[logout](req);
        const { refused } = await bridge.logIn(req, "ada");
        await ending;
        res.json([refused, bridge.userOf(req)]);
      });
      routes.post("/before", async (req, res) => {
        if (req.query["after"] === "logOut") await bridge.logOut(req);
        const login = bridge.logIn(req, "ada");
        await bridge[logout](req);
        res.json([(await login).refused, bridge.userOf(req)]);
      });
      await browser.post("/slow?do=logIn:ada");
      expect((await browser.post("/again")).text).toBe('[null,"ada"]');
      expect(await who(browser)).toBe("ada");
      expect(await aliveIn(store)).toEqual(["ada"]);
      for (const path of ["/before", "/before?after=logOut"]) {
        await browser.post("/slow?do=logIn:ada");
        expect((await browser.post(path)).text).toBe('["logged-out-meanwhile",null]');
        expect(await who(browser)).toBeNull();
        expect(await aliveIn(store)).toEqual([]);
      }
    },
  );

  test.for(["destroy", "keep"] as const)(
    "the user can repeat a logOutEverywhere that failed, or that was refused for an unknown option (unset: %s)",
    async (unset) => {
      let isDown = false;
      const beforeCall = async (call?: string): Promise<void> => {
        if (isDown && call === "revokeUser") throw new Error("down");
      };
      const { browser, bridge, routes, who, data } = await start({}, { unset }, {}, beforeCall);
      routes.post("/everywhere", async (req, res) => {
        const options = "wrong" in req.query ? ({ keepthis: true } as object) : {};
        res.json(await bridge.logOutEverywhere(req, options));
      });
      const phone = browser.twin();
      await browser.post("/slow?do=logIn:ada,set:note");
      await phone.post("/slow?do=logIn:ada");
      expect((await browser.post("/everywhere?wrong")).status).toBe(500);
      isDown = true;
      expect((await browser.post("/everywhere")).status).toBe(500);
      isDown = false;
      expect(await who(browser)).toBe("ada");
      expect(await data(browser)).toEqual({ note: "note of someone" });
      expect((await browser.post("/everywhere")).text).toBe("2");
      expect(await who(phone)).toBeNull();
    },
  );

  test("logOutEverywhere does not refuse a later login in the same request", async () => {
    const { browser, who, routes, bridge } = await start();
    routes.post("/again", async (req, res) => {
      await bridge.logOutEverywhere(req);
      res.json(await bridge.logIn(req, "ada"));
    });
    await browser.post("/slow?do=logIn:ada");
    expect((await browser.post("/again")).text).toBe('{"refused":null}');
    expect(await who(browser)).toBe("ada");
  });

  test("every call is a TypeError that says what to do if the middleware has not run", async () => {
    const { bridge } = await start();
    for (const call of [
      (req: never) => bridge.logIn(req, "ada"),
      (req: never) => bridge.logOut(req),
      (req: never) => bridge.logOutEverywhere(req),
      (req: never) => bridge.rotate(req),
      async (req: never) => bridge.userOf(req),
    ]) {
      const error = /^this request has no session of this store: call app\.use.* under cookie\.path/;
      await expect(call({} as never)).rejects.toThrow(error);
      await expect(call(undefined as never)).rejects.toThrow(/^pass the request: /);
    }
  });
});

describe("a cookie whose token another request has replaced", () => {
  test("is not overwritten for 30 seconds, and its requests store nothing", async () => {
    const { browser, clock, store, sessions, who } = await start({}, { saveUninitialized: true });
    await browser.post("/slow?do=logIn:ada");
    const old = browser.twin();
    await browser.post("/slow?do=rotate");
    for (const steps of ["", "set:a", "set:a,save,set:b", "maxAge:60000", "rotate", "rotate,set:a"]) {
      expect(await old.post(`/slow?do=${steps}`)).toMatchObject({ status: 200, setCookies: [] });
    }
    expect(await aliveIn(store)).toEqual(["ada"]);
    clock.advance(31_000);
    // Makes the process sample the store's clock, which has advanced.
    await sessions.revokeAllForUser("nobody");
    expect((await old.post("/slow?do=set:a")).setCookies).toHaveLength(1);
    expect(await who(browser)).toBe("ada");
  });

  test.for(["login:ada", "logIn:ada", "regenerate,login:ada"])("can log in (%s)", async (steps) => {
    const { browser, who } = await start();
    await browser.post("/slow?do=logIn:ada");
    const old = browser.twin();
    await browser.post("/slow?do=rotate");
    expect((await old.post(`/slow?do=${steps}`)).setCookies).toHaveLength(1);
    expect(await who(old)).toBe("ada");
  });

  test.for(["keep", "destroy"] as const)(
    "can log out, because the user pressed the button (unset: %s)",
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
    "can log out in a request that loaded the session before two rotations (%s)",
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

  test("can log out by a regenerate without a user, as passport does", async () => {
    const { browser, store } = await start();
    await browser.post("/slow?do=logIn:ada");
    const old = browser.twin();
    await browser.post("/slow?do=rotate");
    await old.post("/slow?do=delete:userId,save,regenerate");
    expect(await aliveIn(store)).not.toContain("ada");
  });
});

describe("the framework's regenerate", () => {
  test("hides the session, and after a revokeAllForUser before the save, nobody is logged in", async () => {
    const { browser, routes, sessions, store, who } = await start();
    await browser.post("/login?user=ada");
    let count = 0;
    routes.post("/regenerate", async (req, res) => {
      await fromCallback((done) => req.session.regenerate(done));
      expect(await sessions.listForUser("ada")).toEqual([]);
      count = await sessions.revokeAllForUser("ada");
      req.session.userId = "ada";
      res.end();
    });
    expect((await browser.post("/regenerate")).status).toBe(200);
    expect(count).toBe(1);
    expect(await who(browser)).toBeNull();
    expect(await aliveIn(store)).toEqual([]);
  });

  test("without a save leaves a session that no token opens and that the old token can log out", async () => {
    const { browser, routes, sessions, store, who } = await start();
    await browser.post("/login?user=ada");
    routes.post("/regenerate", async (req, res) => {
      await fromCallback((done) => req.session.regenerate(done));
      Object.assign(req, { session: undefined });
      res.end();
    });
    await browser.post("/regenerate");
    expect(await who(browser)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
    expect(await aliveIn(store)).toEqual(["ada"]);
    await browser.post("/logout");
    expect(await aliveIn(store)).toEqual([]);
  });

  test("of one request and a logout like passport's in another leave nobody logged in", async () => {
    // Without delays, the store's calls would have the same order in every round.
    let delay = 0;
    const beforeCall = (): Promise<void> => sleep(Math.random() * delay);
    for (let round = 0; round < 10; round += 1) {
      delay = 0;
      const { browser, who, store } = await start({}, {}, {}, beforeCall);
      await browser.post("/login?user=ada");
      const carrying = browser.twin();
      const slow = await startSlow(carrying, "carry");
      const leaving = browser.twin();
      delay = 5;
      await Promise.all([leaving.post("/slow?do=delete:userId,save,regenerate"), slow.finish()]);
      for (const one of [browser, carrying, leaving]) expect(await who(one)).toBeNull();
      expect(await aliveIn(store)).not.toContain("ada");
    }
  });

  test("is a logout if the user was deleted before it, even if another request has rotated the session", async () => {
    const { browser, store } = await start();
    await browser.post("/login?user=ada");
    const slow = await startSlow(browser.twin(), "delete:userId,regenerate,set:goodbye");
    await browser.post("/slow?do=rotate");
    await slow.finish();
    expect(await aliveIn(store)).not.toContain("ada");
  });

  test("gives a valid token even if called while a save is under way", async () => {
    const { browser, routes, who } = await start();
    routes.post("/hasty", async (req, res) => {
      req.session["a"] = 1;
      req.session.save();
      await fromCallback((done) => req.session.regenerate(done));
      req.session.userId = "ada";
      res.end();
    });
    await browser.post("/hasty");
    expect(await who(browser)).toBe("ada");
  });
});

describe("the option isUse", () => {
  test("prevents a request for which it returns false from extending the session, whatever the request stores", async () => {
    const isUse = (req: { readonly url: string }): boolean => !req.url.includes("poll");
    const { browser, clock, who } = await start({ touchEvery: "1ms" }, {}, { isUse });
    await browser.post("/login?user=ada");
    for (const path of ["/me?poll", "/slow?do=set:poll", "/slow?do=maxAge:1200000,set:poll"]) {
      clock.advance(9 * MINUTE);
      await untilTouchIsDue();
      expect((await (path.startsWith("/me") ? browser.get(path) : browser.post(path))).status).toBe(200);
    }
    clock.advance(4 * MINUTE);
    expect(await who(browser)).toBeNull();
  });

  test("is not called without a request, and an error that it throws is the framework's error", async () => {
    const isUse = (): boolean => {
      throw new Error("of the application");
    };
    const { browser, bridge, sessions } = await start({}, {}, { isUse });
    await browser.post("/login?user=ada");
    expect(await browser.get("/me")).toMatchObject({ status: 500, text: "Error: of the application" });
    const { token } = await sessions.create({ a: 1 });
    expect(await fromCallback((done) => bridge.load(token, done))).toMatchObject({ a: 1 });
  });
});

test("a request restarts the idle timeout when it loads the session: one that runs from 0.7 to 1.3 of it keeps the session", async () => {
  const { browser, clock, who } = await start({ touchEvery: "1ms" });
  await browser.post("/slow?do=logIn:ada");
  clock.advance(21 * MINUTE);
  await untilTouchIsDue();
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

test.for(["", false, 0.5, {}])("a save that changes the user to %o logs the user out", async (user) => {
  const { browser, routes, store } = await start();
  await browser.post("/login?user=ada");
  routes.post("/change", (req, res) => {
    req.session.userId = user;
    res.end();
  });
  await browser.post("/change");
  expect(await aliveIn(store)).toEqual(["nobody"]);
});

test("if a session cannot be decoded, its user gets a blank one, and all() lists its id, by which it can be ended", async () => {
  const { browser, store, sessions, bridge, data } = await start();
  await browser.post("/login?user=ada");
  const [device] = await sessions.listForUser("ada");
  await store.update(device!.id, { data: "written by hand" });
  expect(await data(browser)).toEqual({});
  expect(await fromCallback((done) => bridge.all(done))).toMatchObject([{ id: device!.id }]);
  expect(await fromCallback((done) => bridge.length(done))).toBe(1);
  await fromCallback((done) => bridge.destroy(device!.id, done));
  expect(await aliveIn(store)).toEqual([]);
});

test("destroy ends a session by the id that all() lists", async () => {
  const { browser, bridge, who } = await start();
  await browser.post("/slow?do=logIn:ada");
  const [listed] = (await fromCallback<readonly { id: string }[]>((done) => bridge.all(done)))!;
  await fromCallback((done) => bridge.destroy(listed!.id, done));
  expect(await who(browser)).toBeNull();
});

test("a bigint in the data is a TypeError of the framework, which then never ends the response", async () => {
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
  test("a save whose user is an object with toJSON logs in, even with a token that another request has just replaced", async () => {
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

  test("save and log in with a codec that accepts only plain objects, even with a token that another request has just replaced", async () => {
    const { browser, who, data } = await start({ codec: plainObjectsOnly });
    await browser.post("/slow?do=set:cart");
    expect(await data(browser)).toEqual({ cart: "cart of someone" });
    const late = browser.twin();
    await browser.post("/slow?do=logIn:ada");
    expect((await late.post("/slow?do=login:ada")).setCookies).toHaveLength(1);
    expect(await who(late)).toBe("ada");
  });

  test("a destroy that is not awaited does not end the session that the request begins next", async () => {
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

  test.for(["save", "touch", "save and destroy"])(
    "a %s that is not awaited does not change the session that the request begins next (session fixation)",
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
        await fromCallback((done) => req.session.save(done));
        res.end();
      });
      await browser.post("/slow?do=set:cart");
      const planted = browser.twin();
      await browser.post("/in");
      expect(await data(browser)).toEqual({ userId: "ada" });
      expect(await who(planted)).toBeNull();
    },
  );

  test("regenerate gives a new token even if the data cannot be stored (session fixation)", async () => {
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

  test("regenerate leaves nobody logged in until the request names a user", async () => {
    const { browser, routes, bridge } = await start();
    routes.post("/again", (req, res, next) => {
      req.session.regenerate((error?: unknown) => (error ? next(error) : res.json(bridge.userOf(req))));
    });
    await browser.post("/slow?do=logIn:ada");
    expect((await browser.post("/again")).text).toBe("null");
  });

  test("destroy with a req.sessionID that another request has just replaced ends the user's session", async () => {
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

  test("destroy without an id is an error", async () => {
    const { bridge } = await start();
    await expect(fromCallback((done) => bridge.destroy(undefined as never, done))).rejects.toThrow(
      "no session id",
    );
  });

  test("touch restarts the idle timeout long after the response", async () => {
    freezeTime();
    const bridge = expressSessionStore(new Sessions({ store: memoryStore(), idleTimeout: "30m" }));
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
      vi.advanceTimersByTime(10 * MINUTE);
      await fromCallback((done) => sessionStore.touch!(sessionID, session, done));
    }
    expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
  });
});

test("a login with an anonymous token does not affect another user who has logged in with the same token since", async () => {
  const { browser, who } = await start();
  await browser.post("/slow?do=set:cart");
  const planted = browser.twin();
  const slow = await startSlow(planted, "logIn:mallory");
  await browser.post("/slow?do=logIn:ada");
  await slow.finish();
  expect(await who(planted)).toBe("mallory");
  expect(await who(browser)).toBe("ada");
});

test("a login after a logout by the data keeps only the named keys of the previous user's session", async () => {
  const { browser, data, who, routes, bridge } = await start();
  routes.post("/keeping", async (req, res) => res.json(await bridge.logIn(req, "eve", { keep: ["cart"] })));
  await browser.post("/slow?do=set:cart,set:mfa,login:ada");
  await browser.post("/slow?do=delete:userId");
  expect(await data(browser)).toMatchObject({ mfa: "mfa of someone" });
  await browser.post("/keeping");
  expect(await who(browser)).toBe("eve");
  expect(await data(browser)).toEqual({ cart: "cart of someone" });
});

/** Like devalue and other codecs for more than JSON. */
const plainObjectsOnly: Codec = {
  encode(data) {
    const isPlain = [data, ...Object.values(data)].every(
      (value) => typeof value !== "object" || Object.getPrototypeOf(value) === Object.prototype,
    );
    if (isPlain) return JSON.stringify(data);
    throw new TypeError("not a plain object");
  },
  decode: (text) => JSON.parse(text) as object,
};
