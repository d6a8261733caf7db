import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, type SessionStore } from "@tenure/core";
import { type ExpressSessionStore, expressSessionStore } from "@tenure/express-session";
import type { SessionData, Store } from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { browserWithToken } from "./browser-with-token.ts";
import { newClock } from "./clock.ts";
import { race } from "./race.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";
import { storeWithoutTombstones } from "./store-without-tombstones.ts";

type Copy = (data: SessionData) => SessionData;

/**
 * Puts a cache in front of a store. It reads each session only once, and so keeps returning ended sessions.
 */
function cached(
  store: ExpressSessionStore,
  copy: Copy,
  cache: Map<string, SessionData> = new Map<string, SessionData>(),
): Store {
  const get = store.get.bind(store);
  store.get = (sid, callback) => {
    const known = cache.get(sid);
    if (known) return process.nextTick(callback, null, copy(known));
    get(sid, (error, data) => {
      if (data) cache.set(sid, copy(data));
      callback(error, data);
    });
  };
  return store;
}

describe.for<{ readonly name: string; readonly copy: Copy }>([
  { name: "copies of the loaded data", copy: structuredClone },
  { name: "the loaded object itself", copy: (data) => data },
])("behind a cache that returns $name", ({ copy }) => {
  const start = (store: SessionStore): Promise<string> =>
    serve(application(cached(expressSessionStore(sessionsOn(store)), copy)).app);
  const startWithoutCache = (store: SessionStore): Promise<string> =>
    serve(application(expressSessionStore(sessionsOn(store))).app);

  test.for([
    { name: "a logout", end: (browser: Visitor) => browser.post("/logout") },
    { name: "the idle timeout", end: null },
  ])("a request after $name stores nothing, even if the backend keeps no tombstones", async ({ end }) => {
    const clock = newClock();
    const store = storeWithoutTombstones(clock);
    const origin = await start(store);
    const other = await startWithoutCache(store);
    const { status } = await race({ origin }, "set:a,save,set:b", async (browser) => {
      if (end) await end(browser.twin(other));
      else clock.advance(30 * 60_000);
    });
    expect(status).toBe(200);
    expect(await aliveIn(store)).toEqual([]);
  });

  test("a save keeps the keys that others stored after the cache took its copy", async () => {
    const store = memoryStore();
    const direct = await startWithoutCache(store);
    const browser = visitor(await start(store));
    await browser.post("/login?user=ada");
    await browser.get("/me");
    await browser.twin(direct).post("/slow?do=set:theirs");
    await browser.post("/slow?do=set:mine");
    const { text } = await browser.twin(direct).get("/me");
    expect(JSON.parse(text)).toEqual({
      userId: "ada",
      theirs: "theirs of someone",
      mine: "mine of someone",
    });
  });
});

describe("behind a cache that several servers share", () => {
  /** As if the cache were in Redis: it returns sessions that this server has never loaded. */
  async function start(store: SessionStore) {
    const cache = new Map<string, SessionData>();
    const copy: Copy = (data) => JSON.parse(JSON.stringify(data)) as SessionData;
    const startServer = (): Promise<string> =>
      serve(application(cached(expressSessionStore(sessionsOn(store)), copy, cache)).app);
    const first = visitor(await startServer());
    await first.post("/login?user=ada");
    await first.get("/me");
    return { first, second: first.twin(await startServer()), cache };
  }

  test.for(["set:a", "set:a,save,set:b", "maxAge:60000", "", "rotate,set:a"])(
    "a request (%s) stores nothing after the session has expired, even if the backend keeps no tombstones",
    async (steps) => {
      const clock = newClock();
      const store = storeWithoutTombstones(clock);
      const { second } = await start(store);
      clock.advance(30 * 60_000);
      expect((await second.post(`/slow?do=${steps}`)).status).toBe(200);
      expect(await aliveIn(store)).toEqual([]);
    },
  );

  test("a request that changes a key keeps what was saved after the cache took its copy", async () => {
    const { first, second, cache } = await start(memoryStore());
    await first.post("/slow?do=set:theirs");
    await second.post("/slow?do=set:mine");
    cache.clear();
    expect(JSON.parse((await first.get("/me")).text)).toEqual({
      userId: "ada",
      theirs: "theirs of someone",
      mine: "mine of someone",
    });
  });
});

describe("behind a cache whose copy is from before a user's logout", () => {
  test.for(["set:late", "rotate,set:late", "carry", "rotate,carry"])(
    "a request (%s) logs nobody in",
    async (steps) => {
      const sessions = sessionsOn(memoryStore());
      const store = expressSessionStore(sessions);
      const { token } = await sessions.create({ cart: 1 });
      store.get = (_, callback) =>
        process.nextTick(callback, null, { cookie: { originalMaxAge: null, path: "/" }, userId: "ada" });
      const browser = browserWithToken(visitor(await serve(application(store).app)), token);
      expect((await browser.post(`/slow?do=${steps}`)).status).toBe(200);
      expect(await sessions.listForUser("ada")).toEqual([]);
      expect(await sessions.get(token)).toMatchObject({ userId: null, data: { cart: 1 } });
    },
  );
});
