import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { type ExpressSessionStore, expressSessionStore } from "@tenure/express-session";
import type { Request, Response } from "express";
import session, { type SessionOptions } from "express-session";
import { describe, expect, test } from "vitest";
import { application, SECRET } from "./app.ts";
import { fromCallback } from "./from-callback.ts";
import { serve } from "./serve.ts";
import { collectWarnings } from "./collect-warnings.ts";

const HTTPS = { "x-forwarded-proto": "https" };

async function start(
  route: (req: Request, res: Response, store: ExpressSessionStore) => unknown,
  options: Partial<SessionOptions> = {},
) {
  const warnings = collectWarnings();
  const sessions = new Sessions({ store: memoryStore() });
  const store = expressSessionStore(sessions);
  const { app, routes } = application(store, options);
  routes.get("/who", (req, res) => res.json(store.userOf(req)));
  routes.post("/route", (req, res) => route(req, res, store));
  const browser = visitor(await serve(app));
  const who = async (): Promise<unknown> => JSON.parse((await browser.get("/who")).text);
  return { warnings, sessions, browser, who };
}

describe("after the response has begun", () => {
  test.for(["logIn", "rotate"] as const)("%s is an error, before anything is written", async (call) => {
    const { sessions, browser, who, warnings } = await start(async (req, res, store) => {
      res.write("begun: ");
      res.end(await store[call](req, "ada").catch(String));
    });
    await browser.post("/slow?do=logIn:ada");
    expect((await browser.post("/route")).text).toMatch(
      /^begun: TypeError: .* await logIn and rotate before/,
    );
    expect(await who()).toBe("ada");
    expect(await sessions.listForUser("ada")).toHaveLength(1);
    expect(await warnings()).toEqual([]);
  });

  test.for<[string, (req: Request) => unknown]>([
    ["is saved for the first time", (req) => (req.session.userId = "ada")],
    [
      "is regenerated",
      async (req) => {
        await fromCallback((done) => req.session.regenerate(done));
        req.session.userId = "ada";
      },
    ],
  ])("a session that %s is warned about, whatever the connection", async ([, change]) => {
    for (const secure of [false, true]) {
      const { browser, warnings } = await start(
        async (req, res) => {
          res.write("begun");
          await change(req);
          res.end();
        },
        { proxy: true, cookie: { secure } },
      );
      await browser.post("/route", undefined, HTTPS);
      expect(await warnings()).toEqual(["TENURE_COOKIE_TOO_LATE"]);
    }
  });

  test("a session whose cookie left with the headers is no cause to warn", async () => {
    const { browser, who, warnings } = await start(async (req, res) => {
      req.session.userId = "ada";
      res.write("begun");
      req.session["more"] = 1;
      await fromCallback((done) => req.session.save(done));
      req.session["more"] = 2;
      res.end();
    });
    await browser.post("/route");
    expect(await who()).toBe("ada");
    await browser.post("/route");
    expect(await warnings()).toEqual([]);
  });
});

test.for(["logIn", "rotate"] as const)("%s that is not awaited is warned about", async (call) => {
  const { browser, warnings } = await start((req, res, store) => {
    void store[call](req, "ada");
    res.end();
  });
  await browser.post("/slow?do=set:a");
  await browser.post("/route");
  expect(await warnings()).toEqual(["TENURE_COOKIE_TOO_LATE"]);
});

test("a request that saves a new session many times adds one listener to its response", async () => {
  const { browser } = await start(
    async (req, res) => {
      for (let i = 0; i < 12; i += 1) {
        req.session["progress"] = i;
        await fromCallback((done) => req.session.save(done));
      }
      res.json(res.listenerCount("finish"));
    },
    { proxy: true, cookie: { secure: true } },
  );
  const first = JSON.parse((await browser.post("/route", undefined, HTTPS)).text) as number;
  expect(first).toBeLessThan(5);
});

test("a stand-in for a request that has no socket can save a session with a secure cookie", async () => {
  const store = expressSessionStore(new Sessions({ store: memoryStore() }));
  const options = { secret: SECRET, resave: false, saveUninitialized: false, cookie: { secure: true } };
  const res = { end: () => undefined } as unknown as Response;
  const req = { url: "/", headers: {}, res } as unknown as Request;
  session({ store, ...options })(req, res, () => undefined);
  req.session.userId = "ada";
  await expect(fromCallback((done) => req.session.save(done))).resolves.toBeUndefined();
});
