import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/store-wrappers/watched";
import express from "express";
import session from "express-session";
import express4 from "express4";
import { describe, expect, test } from "vitest";
import { aliveIn, application, type MakeExpress } from "./app.ts";
import { breakable } from "./breakable.ts";
import { browserWithToken } from "./browser-with-token.ts";
import { gate } from "./gate.ts";
import { race, startSlow } from "./race.ts";
import { serve } from "./serve.ts";

/**
 * Tests what differs, or could differ, between versions of the framework. Each version's file mocks
 * `express-session` with that version.
 */
export function testVersion(version: string, framework: typeof session): void {
  test(`the bridge and these tests use express-session ${version}`, () => {
    expect(expressSessionStore(new Sessions({ store: memoryStore() }))).toBeInstanceOf(framework.Store);
    expect(session).toBe(framework);
  });

  describe.for<{ readonly name: string; readonly makeExpress: MakeExpress }>([
    { name: "Express 4", makeExpress: express4 },
    { name: "Express 5", makeExpress: express },
  ])(`express-session ${version} on $name`, ({ makeExpress }) => {
    async function start(
      options: Parameters<typeof application>[1] = {},
      backend: SessionStore = memoryStore(),
    ) {
      const { store, look: calls } = watched(backend);
      const sessions = new Sessions({ store, touchEvery: "1ms" });
      const bridge = expressSessionStore(sessions, { silence: ["TENURE_STORE_SHARED"] });
      const { app, routes, errors } = application(bridge, options, makeExpress);
      const origin = await serve(app);
      const browser = visitor(origin);
      await browser.post("/login?user=ada");
      // Longer than `touchEvery`.
      await sleep(5);
      calls();
      return { store, calls, sessions, bridge, routes, origin, browser, errors };
    }

    test("a user logs in, is recognized, and logs out", async () => {
      const { browser, store } = await start();
      expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
      expect((await browser.post("/logout")).status).toBe(200);
      expect((await browser.get("/me")).text).toBe("{}");
      expect(await aliveIn(store)).toEqual([]);
    });

    test.for(["set:a", "set:a,save,set:b", "", "maxAge:60000", "regenerate,login:ada"])(
      "a slow request (%s) that ends after a logout does not bring the session back",
      async (steps) => {
        const { browser, store } = await start();
        const slow = await startSlow(browser.twin(), steps);
        await browser.twin().post("/logout");
        expect((await slow.finish()).status).toBe(200);
        expect(await aliveIn(store)).toEqual([]);
      },
    );

    test("a resave after a logout does not bring the session back", async () => {
      const { browser, store } = await start({ resave: true });
      const slow = await startSlow(browser.twin(), "");
      await browser.twin().post("/logout");
      expect((await slow.finish()).status).toBe(200);
      expect(await aliveIn(store)).toEqual([]);
    });

    test.for([false, true])(
      "a request that changes nothing touches and writes no data, with resave %s",
      async (resave) => {
        const { browser, calls } = await start({ resave });
        await browser.get("/me");
        // A second touch is due if the response takes longer than `touchEvery`, one millisecond.
        expect([...new Set(calls())]).toEqual(["read", "touch"]);
      },
    );

    test.for([false, true])("a change of only maxAge is saved, with resave %s", async (resave) => {
      const { browser, sessions } = await start({ resave });
      await browser.post("/slow?do=maxAge:60000");
      expect((await sessions.listForUser("ada"))[0]?.idle).toBeCloseTo(60_000, -4);
    });

    test("changes of concurrent requests are merged, even after a reload", async () => {
      const { browser } = await start();
      const slow = await startSlow(browser.twin(), "reload,set:a");
      await browser.post("/slow?do=set:b");
      await slow.finish();
      expect(Object.keys(JSON.parse((await browser.get("/me")).text) as object)).toEqual([
        "userId",
        "b",
        "a",
      ]);
    });

    test("a rotation keeps the data under a new cookie, and the old cookie opens nothing", async () => {
      const { browser, store } = await start();
      const old = browser.twin();
      await browser.post("/slow?do=rotate,set:a");
      expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada", a: "a of someone" });
      expect((await old.get("/me")).text).toBe("{}");
      expect(await aliveIn(store)).toEqual(["ada"]);
    });

    test("a session created without a cookie loads", async () => {
      const { browser, sessions } = await start({ cookie: { sameSite: "lax", maxAge: 60_000 } });
      const { token } = await sessions.create({ userId: "bob" });
      expect(await browserWithToken(browser, token).get("/me")).toMatchObject({
        status: 200,
        text: '{"userId":"bob"}',
      });
    });

    test("a weak genid is not used, and the secret of the token has 43 characters (256 bits)", async () => {
      const bridge = expressSessionStore(new Sessions({ store: memoryStore() }), {
        silence: ["TENURE_GENID_UNUSED"],
      });
      const { app } = application(bridge, { genid: () => "weak", saveUninitialized: true }, makeExpress);
      const { status, setCookies } = await visitor(await serve(app)).get("/me");
      expect(status).toBe(200);
      expect(setCookies[0]).toMatch(/^connect\.sid=s%3A[\w-]{22}\.[\w-]{43}\./);
    });

    test("a failed touch does not truncate the response, and a failed read logs nobody out", async () => {
      const { store, fail } = breakable(memoryStore());
      const { browser, routes, errors } = await start({}, store);
      const large = Buffer.alloc(20 * 1024 * 1024, "x");
      routes.get("/large", (_req, res) => res.end(large));
      fail(["touch"]);
      expect((await browser.get("/large")).text).toHaveLength(large.length);
      expect(errors).toEqual([]);
      fail(["read"]);
      expect((await browser.get("/me")).status).toBe(500);
      fail(undefined);
      expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
    });

    describe("limits of the framework that the README documents", () => {
      test("with rolling, a slow request sends the cookie from before a login again", async () => {
        const { browser } = await start({ rolling: true });
        const before = new Map(browser.cookies);
        const slow = await startSlow(browser.twin(), "");
        await browser.post("/login?user=ada");
        expect(browser.cookies).not.toEqual(before);
        const [name, value] = (await slow.finish()).setCookies[0]!.split(";")[0]!.split("=");
        expect(value).toBe(before.get(name!));
      });

      test("a redirect is sent before its save, even if the save then fails, and calling save() before it prevents both", async () => {
        const { store, fail } = breakable(memoryStore());
        const held = gate();
        let isSlow = false;
        const slowStore: SessionStore = {
          ...store,
          update: async (id, changes) => {
            if (isSlow && changes.data !== undefined) await held.wait();
            return store.update(id, changes);
          },
        };
        const { origin, browser, routes, errors } = await start({}, slowStore);
        routes.get("/late", (req, res) => {
          req.session["a"] = 1;
          res.redirect("/me");
        });
        routes.get("/safe", (req, res, next) => {
          req.session["b"] = 1;
          req.session.save((error) => (error ? next(error) : res.redirect("/me")));
        });
        isSlow = true;
        const { status, rest } = await headersOf(browser, `${origin}/late`);
        expect(status).toBe(302);
        expect((await browser.get("/me")).text).toBe('{"userId":"ada"}');
        held.open();
        await rest;
        expect((await browser.get("/me")).text).toBe('{"userId":"ada","a":1}');
        expect((await browser.get("/safe")).status).toBe(302);
        expect((await browser.get("/me")).text).toBe('{"userId":"ada","a":1,"b":1}');
        fail(["update"]);
        routes.get("/late-again", (req, res) => {
          req.session["a"] = 2;
          res.redirect("/me");
        });
        expect((await headersOf(browser, `${origin}/late-again`)).status).toBe(302);
        await expect.poll(() => errors).toHaveLength(1);
        routes.get("/safe-again", (req, res, next) => {
          req.session["b"] = 2;
          req.session.save((error) => (error ? next(error) : res.redirect("/me")));
        });
        expect((await browser.get("/safe-again")).status).toBe(500);
      });

      test("if two middlewares share one store, both use the cookie settings of the last one", async () => {
        const { bridge, browser } = await start();
        session({
          store: bridge,
          secret: "another secret",
          resave: false,
          saveUninitialized: false,
          cookie: { path: "/other" },
        });
        const { setCookies } = await browser.post("/login?user=ada");
        expect(setCookies[0]).toContain("Path=/other");
      });
    });

    // Shows that the tests above can fail.
    test("with this version's MemoryStore, a late save brings the session back", async () => {
      const { app } = application(new session.MemoryStore(), {}, makeExpress);
      const origin = await serve(app);
      const { seen } = await race({ origin }, "set:a", (browser) => browser.post("/logout"));
      expect(JSON.parse(seen)).toHaveProperty("a");
    });
  });
}

/** Resolves when a response's headers arrive. `rest` resolves when the response ends or is cut. */
function headersOf(
  { cookies }: Visitor,
  url: string,
): Promise<{ readonly status: number; readonly rest: Promise<void> }> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  return new Promise((resolve, reject) => {
    get(url, { headers: { cookie }, agent: false }, (response) => {
      const rest = new Promise<void>((done) => response.on("close", done));
      response.on("error", () => undefined);
      response.resume();
      resolve({ status: response.statusCode ?? 0, rest });
    }).on("error", reject);
  });
}
