import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/store-wrappers/watched";
import { application } from "./app.ts";
import { newClock } from "./clock.ts";
import { startSlow } from "./race.ts";
import { serve } from "./serve.ts";

const CASES = [true, false].flatMap((resave) =>
  [true, false].flatMap((rolling) =>
    [true, false].map((saveUninitialized) => ({ resave, rolling, saveUninitialized })),
  ),
);

describe.for(CASES)(
  "with resave $resave, rolling $rolling, saveUninitialized $saveUninitialized",
  (options) => {
    async function start() {
      const clock = newClock();
      const { store, look: calls } = watched(memoryStore({ clock }));
      const sessions = new Sessions({ store, idleTimeout: "30m", touchEvery: "1m" });
      const { app, errors } = application(expressSessionStore(sessions), options);
      return { agent: visitor(await serve(app)), calls, clock, sessions, errors };
    }

    test("requests that change nothing within touchEvery read once each and write nothing", async () => {
      const { agent, calls } = await start();
      await agent.post("/login?user=ada");
      calls();
      for (let i = 0; i < 5; i += 1) expect((await agent.get("/me")).status).toBe(200);
      expect(calls()).toEqual(["read", "read", "read", "read", "read"]);
    });

    test("requests that change nothing after touchEvery touch once each and write no data", async () => {
      const { agent, calls, clock, sessions } = await start();
      await agent.post("/login?user=ada");
      calls();
      for (let i = 0; i < 3; i += 1) {
        clock.advance(61_000);
        // Makes the process sample the store's clock, which has advanced.
        await sessions.revokeAllForUser("nobody");
        await agent.get("/me");
      }
      const ofRequests = calls().filter((call) => call !== "revokeUser" && call !== "now");
      expect(ofRequests).toEqual(["read", "touch", "read", "touch", "read", "touch"]);
    });

    test("a request that saves explicitly and changes nothing afterwards writes data once", async () => {
      const { agent, calls } = await start();
      await agent.post("/login?user=ada");
      calls();
      await agent.post("/slow?do=set:a,save");
      expect(calls()).toEqual(["read", "update"]);
    });

    test("a request that changes data writes it once", async () => {
      const { agent, calls } = await start();
      await agent.post("/login?user=ada");
      calls();
      await agent.post("/slow?do=set:a");
      expect(calls()).toEqual(["read", "update"]);
      expect(JSON.parse((await agent.get("/me")).text)).toEqual({ userId: "ada", a: "a of someone" });
    });

    test("a visitor without a session costs a write only with saveUninitialized", async () => {
      const { agent, calls } = await start();
      expect((await agent.get("/me")).status).toBe(200);
      expect(calls()).toEqual(options.saveUninitialized ? ["create"] : []);
      expect(agent.cookies.size).toBe(options.saveUninitialized ? 1 : 0);
    });

    test("a login of a visitor without a stored session costs one create and writes no tombstone", async () => {
      const { agent, calls } = await start();
      await agent.post("/login?user=ada");
      expect(calls()).toEqual(["create"]);
    });
  },
);

test("twenty concurrent requests touch once", async () => {
  const clock = newClock();
  const { store, look: calls } = watched(memoryStore({ clock }));
  const startServer = (): Promise<string> => {
    const sessions = new Sessions({ store, touchEvery: "1m" });
    return serve(application(expressSessionStore(sessions)).app);
  };
  const browser = visitor(await startServer());
  await browser.post("/login?user=ada");
  clock.advance(61_000);
  // Another server, which samples the store's clock after it has advanced.
  const elsewhere = browser.twin(await startServer());
  calls();
  const requests = await Promise.all(Array.from({ length: 20 }, () => startSlow(elsewhere.twin(), "")));
  await Promise.all(requests.map(({ finish }) => finish()));
  expect(calls().filter((call) => call !== "read")).toEqual(["touch"]);
});

test("the response waits for a save that the application has not awaited", async () => {
  const backend = memoryStore();
  let isStored = false;
  const update: typeof backend.update = async (...args) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    isStored = true;
    return backend.update(...args);
  };
  const { app, routes } = application(expressSessionStore(new Sessions({ store: { ...backend, update } })));
  routes.post("/save", (req, res) => {
    req.session["a"] = 1;
    req.session.save();
    res.end();
  });
  const browser = visitor(await serve(app));
  await browser.post("/login?user=ada");
  await browser.post("/save");
  expect(isStored).toBe(true);
});
