import { memoryStore, Sessions, type SessionStore, StoreError } from "@tenure/core";
import { Bridge, type RequestSession, warnOnce } from "@tenure/core/bridge";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { recordCalls } from "../record-calls.ts";
import { interleaved, seeds, turns } from "../interleaved.ts";
import { publishedEvents } from "../published-events.ts";

type Data = Record<string, unknown>;

const silent = warnOnce(["TENURE_MAX_AGE_CAPPED"]);

/** The smallest framework: it only begins requests. */
function framework(store: SessionStore = memoryStore(), options: object = {}) {
  const sessions = new Sessions({ store, ...options });
  const bridge = new Bridge(sessions, silent);
  /** A request with a cookie, or without one, and the data that it sees. */
  const beginRequest = async (token: string | null, use: { readonly isUse?: boolean } = {}) => {
    const loaded = token === null ? undefined : await bridge.load(token);
    const request = bridge.request(loaded, use);
    return { request, data: (loaded?.session?.data ?? {}) as Data };
  };
  /** Stores a session by a request, and returns its token. */
  const createSession = async (data: Data): Promise<string> => {
    const { request } = await beginRequest(null);
    await request.save(data, null);
    return request.token;
  };
  const userOf = async (token: string): Promise<unknown> => (await sessions.get(token))?.userId ?? null;
  return { sessions, bridge, beginRequest, createSession, userOf };
}

describe("a request", () => {
  test("refuses unknown options of a login and of a logout everywhere before anything is written", async () => {
    const { sessions, beginRequest } = framework();
    const { request } = await beginRequest(null);
    await expect(request.logIn("ada", {}, { maxAge: "8d" } as never)).rejects.toThrow(
      "Unknown option maxAge",
    );
    await request.logIn("ada", {});
    const everywhere = request.logOutEverywhere({ keepthis: true } as never);
    await expect(everywhere).rejects.toThrow("Unknown option keepthis");
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });

  test("stores a new session with the data and the user of the moment at which save was called", async () => {
    const { sessions, beginRequest } = framework();
    const { request } = await beginRequest(null);
    const data: Data = { userId: "ada", n: 1 };
    const saving = request.save(data, null);
    Object.assign(data, { userId: "eve", n: 2 });
    expect(await saving).toBe("saved");
    expect(await sessions.get(request.token)).toMatchObject({ userId: "ada", data: { userId: "ada", n: 1 } });
  });

  test("whose token was just replaced stores a login that its data named when save was called", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const token = await createSession({ cart: 1 });
    await sessions.rotate(token);
    const { request } = await beginRequest(token);
    const data: Data = { userId: "ada" };
    const [first, second] = [request.save({}, null), request.save(data, null)];
    Object.assign(data, { userId: undefined });
    expect([await first, await second]).toEqual(["withheld", "saved"]);
    expect((await sessions.get(request.token))?.userId).toBe("ada");
  });

  test("logs in with the data of the moment at which logIn was called, as they are stored", async () => {
    const { sessions, beginRequest } = framework();
    const { request } = await beginRequest(null);
    const data: Data = { userId: { toJSON: () => "eve" }, cart: { n: 1 } };
    const loggingIn = request.logIn("ada", data);
    Object.assign(data["cart"] as Data, { n: 2 });
    const { refused } = await loggingIn;
    expect(refused).toBeNull();
    const session = await sessions.get(request.token);
    expect(session).toMatchObject({ userId: "ada", data: { cart: { n: 1 } } });
    // Another user's name does not stay, whatever object it was before.
    expect(session?.data).not.toHaveProperty("userId");
  });

  test("without a cookie stores a new session at its first save", async () => {
    const { sessions, beginRequest } = framework();
    const { request } = await beginRequest(null);
    expect(request).toMatchObject({ state: "new", userId: null, id: null });
    expect(await request.save({ a: 1 }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ a: 1 });
  });

  test("saves its own changes twice in a row, and keeps those of another request", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const token = await createSession({ a: 1, b: 1 });
    const [one, two] = [await beginRequest(token), await beginRequest(token)];
    expect(await one.request.save({ a: 2, b: 1 }, null)).toBe("saved");
    expect(await two.request.save({ a: 1, b: 2 }, null)).toBe("saved");
    expect(await two.request.save({ a: 1, b: 3, c: 1 }, null)).toBe("saved");
    expect((await sessions.get(token))?.data).toEqual({ a: 2, b: 3, c: 1 });
  });

  test("that logs a user in by the data and keeps the token is warned about: whoever planted it is logged in", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const warnings: string[] = [];
    const bridge = new Bridge<Data>(sessions, (code) => void warnings.push(code));
    const visitor = async (before?: RequestSession<Data>) =>
      bridge.request(await bridge.load((await sessions.create({ a: 1 })).token), { before });
    await bridge.request().save({ userId: "ada" }, null);
    const regenerated = await visitor();
    await regenerated.regenerate();
    await regenerated.save({ userId: "ada" }, null);
    const rotated = await visitor();
    await rotated.rotate();
    await rotated.save({ userId: "ada" }, null);
    const loggedIn = await visitor();
    await loggedIn.logIn("ada", { a: 1 });
    await loggedIn.save({ userId: "ada" }, null);
    expect(warnings).toEqual([]);
    await (await visitor()).save({ userId: "ada" }, null);
    expect(warnings).toEqual(["TENURE_TOKEN_KEPT"]);
    // The application has loaded a second session, whose token the request contains elsewhere.
    await (await visitor(bridge.request())).save({ userId: "ada" }, null);
    expect(warnings).toHaveLength(2);
  });

  test("does not delete keys that the framework does not show", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const bridge = new Bridge<Data>(sessions, silent, (key) => key !== "hidden");
    const { token } = await sessions.create({ hidden: 1, a: 1 });
    const request = bridge.request(await bridge.load(token));
    expect(await request.save({ a: 2 }, null)).toBe("saved");
    expect((await sessions.get(token))?.data).toEqual({ hidden: 1, a: 2 });
    expect(await request.save({ a: 3 }, null)).toBe("saved");
    expect((await sessions.get(token))?.data).toEqual({ hidden: 1, a: 3 });
  });

  test("costs one read, and one update if it changes something", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const { beginRequest, createSession } = framework(store);
    const token = await createSession({ a: 1 });
    await beginRequest(token);
    takeCalls();
    const { request } = await beginRequest(token);
    expect(await request.save({ a: 1 }, null)).toBe("saved");
    expect(await request.touch(null)).toBe("saved");
    expect(takeCalls()).toEqual(["read"]);
    const saving = await beginRequest(token);
    await saving.request.save({ a: 2 }, null);
    expect(takeCalls()).toEqual(["read", "update"]);
  });

  test("restarts the idle timeout when it loads the session, unless isUse is false", async () => {
    let now = 1_000_000;
    const store = memoryStore({ clock: () => now });
    const { sessions, beginRequest, createSession } = framework(store, { idleTimeout: 1000, touchEvery: 1 });
    const token = await createSession({ a: 1 });
    now += 600;
    const polling = await beginRequest(token, { isUse: false });
    await polling.request.save({ a: 2 }, null);
    await polling.request.touch(null);
    const id = sessions.idOf(token)!;
    expect((await store.read(id))!.touchedAt).toBe(1_000_000);
    const { request } = await beginRequest(token);
    await request.touch(null);
    expect((await store.read(id))!.touchedAt).toBe(now);
  });

  test("whose session is revoked meanwhile saves nothing and sets no cookie", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const token = await createSession({ userId: "ada" });
    const { request } = await beginRequest(token);
    await sessions.revoke(token);
    expect(await request.save({ userId: "ada", a: 1 }, null)).toBe("dead");
    expect(request.maySetCookie({ userId: "ada" })).toBe(false);
    expect(await request.save({ userId: "ada", a: 2 }, null)).toBe("dead");
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("ends its session by a save with a maxAge of 0", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const token = await createSession({ userId: "ada" });
    const { request } = await beginRequest(token);
    expect(await request.save({ userId: "ada" }, 0)).toBe("dead");
    expect(await sessions.get(token)).toBeNull();
  });

  test("may shorten the idle timeout by its cookie's maxAge, and restore it", async () => {
    const { sessions, beginRequest, createSession } = framework(memoryStore(), { idleTimeout: 10_000 });
    const token = await createSession({ a: 1 });
    const { request } = await beginRequest(token);
    await request.save({ a: 1 }, 2000);
    expect((await sessions.get(token))?.idle).toBe(2000);
    await request.save({ a: 1 }, 60_000);
    expect((await sessions.get(token))?.idle).toBe(10_000);
    await request.touch(3000);
    expect((await sessions.get(token))?.idle).toBe(3000);
    await request.touch(null);
    expect((await sessions.get(token))?.idle).toBe(10_000);
  });

  test("whose create was stored but lost its reply saves into that session", async () => {
    const store = memoryStore();
    let isArmed = true;
    const create: SessionStore["create"] = async (session) => {
      const created = await store.create(session);
      if (!isArmed) return created;
      isArmed = false;
      throw new Error("the connection was lost");
    };
    const { sessions, beginRequest } = framework({ ...store, create });
    const { request } = await beginRequest(null);
    await expect(request.save({ a: 1 }, null)).rejects.toThrow("the store failed");
    expect(await request.save({ a: 2 }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ a: 2 });
  });
});

describe("a logout", () => {
  test("ends the session that the request loaded, even if another request has rotated it", async () => {
    const { sessions, beginRequest, createSession, userOf } = framework();
    const token = await createSession({ userId: "ada" });
    const leaving = await beginRequest(token);
    const other = await beginRequest(token);
    expect(await other.request.rotate()).toBe("rotated");
    await leaving.request.end();
    expect(await userOf(other.request.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("with a user's superseded token ends the session, and with a visitor's token from before the login does not", async () => {
    const { beginRequest, createSession, userOf } = framework();
    const token = await createSession({ userId: "ada" });
    const { request } = await beginRequest(token);
    await request.rotate();
    await (await beginRequest(token)).request.end();
    expect(await userOf(request.token)).toBeNull();

    const planted = await createSession({});
    const login = await beginRequest(planted);
    await login.request.logIn("ada", {});
    await (await beginRequest(planted)).request.end();
    expect(await userOf(login.request.token)).toBe("ada");
  });

  test("by a save without the user and a regenerate, as in passport, ends the session even with a superseded token", async () => {
    const { beginRequest, createSession, userOf } = framework();
    const token = await createSession({ passport: { user: "ada" } });
    const { request } = await beginRequest(token);
    await request.rotate();
    const leaving = await beginRequest(token);
    await leaving.request.save({}, null);
    await leaving.request.regenerate();
    expect(await userOf(request.token)).toBeNull();
  });

  test("that deletes the user, saves and regenerates wins over a concurrent request that regenerates and keeps the user", async () => {
    for (const seed of seeds) {
      const { beginRequest, createSession, userOf } = framework(interleaved(memoryStore(), seed));
      const token = await createSession({ userId: "ada" });
      const [leaving, renewing] = [await beginRequest(token), await beginRequest(token)];
      const logout = async (): Promise<void> => {
        await leaving.request.save({}, null);
        await leaving.request.regenerate();
      };
      const renewal = async (): Promise<void> => {
        await turns(seed % 25);
        await renewing.request.regenerate();
        await renewing.request.save({ userId: "ada" }, null);
      };
      await Promise.all([logout(), renewal()]);
      for (const one of [token, leaving.request.token, renewing.request.token]) {
        expect(await userOf(one), `seed ${seed}`).toBeNull();
      }
    }
  });

  test("may be followed by a new session of the same request", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const { request } = await beginRequest(await createSession({ userId: "ada" }));
    await request.end();
    expect(await request.save({ a: 1 }, null)).toBe("dead");
    request.begin();
    expect(await request.save({ flash: "bye" }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ flash: "bye" });
  });

  test("after a logout and a login in the same request ends that login", async () => {
    const { sessions, beginRequest, createSession, userOf } = framework();
    const { request } = await beginRequest(await createSession({ userId: "ada" }));
    await request.end();
    await request.logIn("bob", {});
    expect(await userOf(request.token)).toBe("bob");
    await request.end();
    expect(await userOf(request.token)).toBeNull();
    expect(await Array.fromAsync(sessions.all())).toEqual([]);
  });
});

describe("a session that the framework regenerates", () => {
  test("keeps its id, and is hidden and blank until the request saves", async () => {
    const { sessions, beginRequest, createSession, userOf } = framework();
    const token = await createSession({ userId: "ada", cart: 1 });
    const id = sessions.idOf(token);
    const { request } = await beginRequest(token);
    await request.regenerate();
    expect(request.token.startsWith(`${id}.`)).toBe(true);
    expect(await userOf(token)).toBeNull();
    expect(await userOf(request.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ userId: "ada" });
    expect((await sessions.listForUser("ada")).map((one) => one.id)).toEqual([id]);
  });

  test.each([
    ["log out everywhere", (s: Sessions) => s.revokeAllForUser("ada").then(() => undefined)],
    ["a logout with the old token", (s: Sessions, token: string) => s.revoke(token).then(() => undefined)],
    [
      "a logout by its id",
      (s: Sessions, token: string) => s.revokeById(s.idOf(token)!).then(() => undefined),
    ],
  ])("can be ended by %s until the save", async (_, end) => {
    const { sessions, beginRequest, createSession, userOf } = framework();
    const token = await createSession({ userId: "ada" });
    const { request } = await beginRequest(token);
    await request.regenerate();
    await end(sessions, token);
    expect(await request.save({ userId: "ada" }, null)).toBe("dead");
    expect(await userOf(request.token)).toBeNull();
    expect(request.maySetCookie({ userId: "ada" })).toBe(false);
  });

  test("if another request has ended it, is replaced by one that is never stored", async () => {
    for (const data of [{ userId: "ada" }, { user: { id: "ada" } }]) {
      const { sessions, beginRequest, createSession } = framework();
      const token = await createSession(data);
      const { request } = await beginRequest(token);
      await sessions.revoke(token);
      const next = await request.regenerate();
      expect(await request.save(data, null)).toBe("dead");
      expect(await sessions.get(next)).toBeNull();
      expect(request.maySetCookie(data)).toBe(false);
    }
  });

  test("has no data in the store until the save", async () => {
    const store = memoryStore();
    const { sessions, beginRequest, createSession } = framework(store);
    const token = await createSession({ userId: "ada", secret: "s3cr3t" });
    const { request } = await beginRequest(token);
    await request.regenerate();
    expect((await store.read(sessions.idOf(token)!))!.data).not.toContain("s3cr3t");
  });

  test("belongs to another user after a save whose data name that user, and loses the previous user's data", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const token = await createSession({ userId: "ada", secret: 1 });
    const { request } = await beginRequest(token);
    await request.regenerate();
    await request.save({ userId: "bob" }, null);
    expect(await sessions.get(request.token)).toMatchObject({ userId: "bob", data: { userId: "bob" } });
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("has no user after a save whose data name nobody, even if logIn had set one", async () => {
    const { beginRequest, userOf, sessions } = framework();
    const { request } = await beginRequest(null);
    await request.logIn("ada", {});
    await request.regenerate();
    await request.save({ flash: 1 }, null);
    expect(await userOf(request.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("has an idle timeout of one hour until the save restores a longer one", async () => {
    const store = memoryStore();
    const { sessions, beginRequest, createSession } = framework(store, { idleTimeout: "5h" });
    const token = await createSession({ a: 1 });
    const id = sessions.idOf(token)!;
    const { request } = await beginRequest(token);
    await request.regenerate();
    expect((await store.read(id))!.idle).toBe(3_600_000);
    await request.save({ a: 1 }, null);
    expect((await store.read(id))!.idle).toBe(5 * 3_600_000);
  });

  test.each([
    { after: null, idle: 10_000 },
    { after: 3000, idle: 3000 },
    { after: 2000, idle: 2000 },
  ])(
    "with a maxAge of 2000 has an idle timeout of $idle after a save with a maxAge of $after",
    async ({ after, idle }) => {
      for (const user of ["ada", "bob"]) {
        const { sessions, beginRequest, createSession } = framework(memoryStore(), { idleTimeout: 10_000 });
        const { request: first } = await beginRequest(await createSession({ userId: "ada" }));
        await first.save({ userId: "ada" }, 2000);
        const { request } = await beginRequest(first.token);
        request.maxAge = 2000;
        await request.regenerate();
        await request.save({ userId: user }, after);
        expect((await sessions.get(request.token))?.idle).toBe(idle);
      }
    },
  );

  test("twice in one request keeps the token of the first time", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const token = await createSession({ userId: "ada" });
    const { request } = await beginRequest(token);
    expect(await request.regenerate()).toBe(await request.regenerate());
    await request.save({ userId: "ada" }, null);
    expect(await sessions.revoke(token)).toBe(true);
  });
});

describe("a regenerate with the request's data", () => {
  test("that no longer name the user ends the session, even if another request has replaced its token", async () => {
    for (const replaces of ["rotate", "regenerate"] as const) {
      const { sessions, beginRequest, createSession } = framework();
      const token = await createSession({ userId: "ada" });
      const [leaving, renewing] = [await beginRequest(token), await beginRequest(token)];
      await renewing.request[replaces]();
      await renewing.request.save({ userId: "ada" }, null);
      await leaving.request.regenerate(undefined, { userId: undefined });
      expect(await sessions.get(renewing.request.token)).toBeNull();
      expect(await leaving.request.save({ message: "goodbye" }, null)).toBe("saved");
      expect(await sessions.get(leaving.request.token)).toMatchObject({ userId: null });
    }
  });

  test("that still name the user ends nothing", async () => {
    const { beginRequest, createSession, userOf } = framework();
    const { request, data } = await beginRequest(await createSession({ userId: "ada" }));
    await request.regenerate(undefined, data);
    await request.save({ userId: "ada" }, null);
    expect(await userOf(request.token)).toBe("ada");
  });
});

test("a login by the data after a rotation keeps the idle timeout of the cookie's maxAge", async () => {
  const { sessions, beginRequest, createSession } = framework(memoryStore(), { idleTimeout: 10_000 });
  const { request } = await beginRequest(await createSession({ cart: 1 }));
  await request.save({ cart: 1 }, 2000);
  await request.rotate();
  await request.save({ cart: 1, userId: "ada" }, 2000);
  expect(await sessions.get(request.token)).toMatchObject({ userId: "ada", idle: 2000 });
});

test.each([
  ["after a rotation restarts the lifetime", "rotate", 2000],
  ["after a regenerate restarts the lifetime", "regenerate", 2000],
  ["without a new token does not restart the lifetime", null, 0],
] as const)("a login by the data %s", async (_, replaceToken, extension) => {
  let now = 1_000_000;
  const options = { idleTimeout: 4000, lifetime: 10_000 };
  const { sessions, beginRequest, createSession } = framework(memoryStore({ clock: () => now }), options);
  const { request } = await beginRequest(await createSession({ cart: 1 }));
  if (replaceToken !== null) await request[replaceToken]();
  now += 2000;
  await request.save({ cart: 1, userId: "ada" }, 3000);
  const [session] = await sessions.listForUser("ada");
  expect(session).toMatchObject({ userId: "ada", idle: 3000 });
  expect(session!.endsAt).toBe(1_000_000 + extension + 10_000);
});

test("a log out everywhere that keeps this session ends it if its token was replaced long ago, by a thief perhaps", async () => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  const { sessions, beginRequest, userOf } = framework();
  const { token } = await sessions.create({}, { userId: "ada" });
  const stolen = (await sessions.rotate(token!)) as { readonly token: string };
  const { request: early } = await beginRequest(token!);
  expect(await early.logOutEverywhere({ keepThis: true })).toBe(0);
  expect(await userOf(stolen.token)).toBe("ada");
  vi.advanceTimersByTime(30_000);
  const { request: late } = await beginRequest(token!);
  expect(await late.logOutEverywhere({ keepThis: true })).toBe(1);
  expect(await userOf(stolen.token)).toBeNull();
  vi.useRealTimers();
});

test("the id of a session that cannot be read logs its user out of that session, and not everywhere", async () => {
  const store = memoryStore();
  const { session } = await new Sessions({ store }).create({}, { userId: "ada" });
  const protect = { keys: [{ id: "one", key: Buffer.alloc(32, 1) }] };
  const { sessions, beginRequest } = framework(store, { protect });
  await sessions.create({}, { userId: "ada" });
  const { request } = await beginRequest(`${session!.id}.${"A".repeat(43)}`);
  expect(await request.logOutEverywhere()).toBe(0);
  expect(await sessions.listForUser("ada")).toHaveLength(1);
});

test("a request that has logged out everywhere may begin a new session", async () => {
  const { beginRequest, createSession, userOf } = framework();
  for (const data of [{ userId: "ada" }, { cart: 1 }]) {
    const { request } = await beginRequest(await createSession(data));
    await request.logOutEverywhere();
    await request.regenerate();
    expect(await request.save({ userId: "bob" }, null)).toBe("saved");
    expect(await userOf(request.token)).toBe("bob");
  }
});

test("a log out everywhere ends the request's session, even if the store's clock cannot be read afterwards", async () => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const store = memoryStore();
  let isDown = false;
  const { beginRequest, createSession } = framework({
    ...store,
    async revokeUser(userId, options) {
      const count = await store.revokeUser(userId, options);
      vi.advanceTimersByTime(60_000);
      isDown = true;
      return count;
    },
    now: () => (isDown ? Promise.reject(new StoreError("now", "down")) : store.now()),
  });
  const { request } = await beginRequest(await createSession({ userId: "ada" }));
  await expect(request.logOutEverywhere()).rejects.toThrow("down");
  expect([request.state, request.userId]).toEqual(["logged-out", null]);
});

describe("a parallel request with the cookie from before a login", () => {
  test("sets no cookie even after it regenerates or logs out", async () => {
    const { beginRequest, createSession, userOf } = framework();
    for (const way of ["regenerate", "end"] as const) {
      const visitor = await createSession({ csrf: 1 });
      const login = await beginRequest(visitor);
      await login.request.logIn("ada", {});
      const { request } = await beginRequest(visitor);
      await request[way]();
      request.begin();
      expect(request.maySetCookie({})).toBe(false);
      expect(await request.save({ csrf: 2 }, null)).toBe("withheld");
      expect(await userOf(login.request.token)).toBe("ada");
    }
  });

  test("stores nothing and sets no cookie, unless it logs a user in", async () => {
    const { sessions, beginRequest, createSession, userOf } = framework();
    const visitor = await createSession({ csrf: 1 });
    const login = await beginRequest(visitor);
    await login.request.logIn("ada", { csrf: 1 });
    const poll = await beginRequest(visitor);
    expect(poll.data).toEqual({});
    expect(poll.request.maySetCookie({ csrf: 2 })).toBe(false);
    expect(await poll.request.save({ csrf: 2 }, null)).toBe("withheld");
    expect(poll.request.maySetCookie({ userId: "bob" })).toBe(true);
    expect(await poll.request.save({ userId: "bob" }, null)).toBe("saved");
    expect(await userOf(login.request.token)).toBe("ada");
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("is only the first request that begins in the callback of get", async () => {
    const { bridge, beginRequest, createSession } = framework();
    const visitor = await createSession({ csrf: 1 });
    await (await beginRequest(visitor)).request.logIn("ada", {});
    const begun = await new Promise<string[]>((resolve) => {
      bridge.get(visitor, Object, () => {
        const requests = [bridge.request(bridge.missed()), bridge.request(bridge.missed())];
        void Promise.all(requests.map((request) => request.save({ csrf: 2 }, null))).then(resolve);
      });
    });
    expect(begun).toEqual(["withheld", "saved"]);
    const missed = await new Promise((resolve) => {
      bridge.get(visitor, Object, () =>
        resolve([bridge.missed(() => false), bridge.missed((token) => token === visitor)?.token]),
      );
    });
    expect(missed).toEqual([undefined, visitor]);
    await new Promise<void>((resolve) => bridge.get(visitor, Object, () => resolve()));
    expect(bridge.missed()).toBeUndefined();
  });

  test("that loaded the session before the login drops its save", async () => {
    const { beginRequest, createSession, sessions } = framework();
    const visitor = await createSession({});
    const [poll, login] = [await beginRequest(visitor), await beginRequest(visitor)];
    await login.request.logIn("ada", {});
    expect(await poll.request.save({ csrf: 1 }, null)).toBe("dead");
    expect(poll.request.maySetCookie({ csrf: 1 })).toBe(false);
    expect((await sessions.get(login.request.token))?.data).toEqual({});
  });
});

describe("a login in a request", () => {
  test("keeps the request's unsaved changes, and what other requests have saved", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const visitor = await createSession({ cart: ["tea"] });
    const [other, login] = [await beginRequest(visitor), await beginRequest(visitor)];
    await other.request.save({ cart: ["tea"], seen: true }, null);
    const result = await login.request.logIn("ada", { cart: ["tea", "milk"] });
    expect(result).toMatchObject({
      refused: null,
      session: { data: { cart: ["tea", "milk"], seen: true } },
    });
    expect(login.request.userId).toBe("ada");
    expect((await sessions.get(login.request.token))?.data).toEqual({ cart: ["tea", "milk"], seen: true });
    expect(await login.request.save({ cart: [], seen: true }, null)).toBe("saved");
  });

  test("stores the data of a request that had no session", async () => {
    const { sessions, beginRequest } = framework();
    const { request } = await beginRequest(null);
    await request.logIn(1n, { theme: "dark" });
    expect(await sessions.get(request.token)).toMatchObject({ userId: "1", data: { theme: "dark" } });
  });

  test("in another user's session keeps only the keys named in keep", async () => {
    const { beginRequest, createSession, userOf } = framework();
    const ada = await createSession({ userId: "ada", mfa: true, cart: 1 });
    const { request, data } = await beginRequest(ada);
    const result = await request.logIn("bob", data, { keep: ["cart"] });
    expect(result).toMatchObject({ session: { data: { cart: 1 }, userId: "bob" } });
    expect(await userOf(ada)).toBeNull();
  });

  test("is refused if the user was logged out everywhere after the request began, and ends the session", async () => {
    const { sessions, beginRequest, createSession } = framework();
    const visitor = await createSession({ a: 1 });
    const { request, data } = await beginRequest(visitor);
    await sessions.revokeAllForUser("ada");
    expect(await request.logIn("ada", data)).toEqual({ refused: "logged-out-meanwhile" });
    expect(await request.save({ a: 2, userId: "ada" }, null)).toBe("dead");
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("by a save is refused in the same way", async () => {
    const { sessions, beginRequest, createSession } = framework();
    for (const token of [await createSession({ a: 1 }), null]) {
      const { request } = await beginRequest(token);
      await sessions.since();
      await sessions.revokeAllForUser("ada");
      expect(await request.save({ a: 1, userId: "ada" }, null)).toBe("dead");
      expect(await sessions.listForUser("ada")).toEqual([]);
    }
  });

  test("sets ownIdle to the login's own idle timeout, for the cookie", async () => {
    const { beginRequest } = framework(memoryStore(), { maxIdleTimeout: "30d", maxLifetime: "60d" });
    const { request } = await beginRequest(null);
    await request.logIn("ada", {}, { idle: "30d", lifetime: "60d" });
    expect(request.ownIdle).toBe(30 * 86_400_000);
    await request.save({ a: 1 }, 30 * 86_400_000);
    expect(request.maySetCookie({})).toBe(true);
  });

  test("after its own request's log out everywhere is accepted, even in a session that the framework begins in between", async () => {
    const { beginRequest, createSession, userOf } = framework();
    const { request } = await beginRequest(await createSession({ userId: "ada" }));
    await turns(2);
    expect(await request.logOutEverywhere()).toBe(1);
    const next = request.successor();
    expect(await next.logIn("ada", {})).toMatchObject({ refused: null });
    expect(await userOf(next.token)).toBe("ada");
  });

  test("survives its own request's log out everywhere with keepThis, and a regenerate after it", async () => {
    const { sessions, beginRequest, createSession, userOf } = framework();
    const token = await createSession({ userId: "ada" });
    const thief = await createSession({ userId: "ada" });
    const { request } = await beginRequest(token);
    expect(await request.logOutEverywhere({ keepThis: true })).toBe(1);
    await request.regenerate();
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
    expect(await userOf(request.token)).toBe("ada");
    expect(await userOf(thief)).toBeNull();
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });
});

test("a maxAge above the idle timeout is warned about, and one below it is not", async () => {
  const warnings: string[] = [];
  const sessions = new Sessions({ store: memoryStore(), idleTimeout: 1000 });
  const bridge = new Bridge<Data>(sessions, (code) => warnings.push(code));
  await bridge.request().save({ a: 1 }, 5000);
  await bridge.request().save({ a: 1 }, 500);
  expect(warnings).toEqual(["TENURE_MAX_AGE_CAPPED"]);
});

test("a save that is dropped publishes an event, and a touch does not", async () => {
  const events = publishedEvents("late-save-dropped");
  const { sessions, beginRequest, createSession } = framework();
  const token = await createSession({ a: 1 });
  const [changing, reading] = [await beginRequest(token), await beginRequest(token)];
  await sessions.revoke(token);
  await reading.request.touch(null);
  expect(events).toEqual([]);
  await changing.request.save({ a: 2 }, null);
  expect(events).toMatchObject([{ id: sessions.idOf(token) }]);
});

test("Bridge rejects anything but a Sessions of this copy of the package", () => {
  expect(() => new Bridge({} as never, silent)).toThrow(/one copy of @tenure\/core/);
});

test("Bridge.end with a visitor's token that a login has replaced ends nothing, and with a user's ends the session", async () => {
  const { bridge, beginRequest, createSession, userOf } = framework();
  const anonymous = await createSession({ cart: 1 });
  const { request, data } = await beginRequest(anonymous);
  await request.logIn("ada", data);
  await bridge.end(anonymous);
  expect(await userOf(request.token)).toBe("ada");
  const before = request.token;
  await request.rotate();
  await bridge.end(before);
  expect(await userOf(request.token)).toBeNull();
});
