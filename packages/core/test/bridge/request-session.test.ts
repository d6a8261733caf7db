import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { memoryStore, Sessions, type SessionStore } from "@tenure/core";
import { Bridge, warnOnce } from "@tenure/core/bridge";
import { describe, expect, test } from "vitest";
import { recordCalls } from "../record-calls.ts";
import { interleaved, seeds, turns } from "../interleaved.ts";

type Data = Record<string, unknown>;

const silent = warnOnce(["TENURE_MAX_AGE_CAPPED"]);

/** A framework with nothing but requests. */
function framework(store: SessionStore = memoryStore(), options: object = {}) {
  const sessions = new Sessions({ store, ...options });
  const bridge = new Bridge(sessions, silent);
  const open = async (token: string | null, use: { readonly isUse?: boolean } = {}) => {
    const loaded = token === null ? undefined : await bridge.load(token);
    const request = bridge.request(loaded, use);
    return { request, data: (loaded?.session?.data ?? {}) as Data };
  };
  const visit = async (data: Data): Promise<string> => {
    const { request } = await open(null);
    await request.save(data, null);
    return request.token;
  };
  const whose = async (token: string): Promise<unknown> => (await sessions.get(token))?.userId ?? null;
  return { sessions, bridge, open, visit, whose };
}

describe("a request", () => {
  test("without a cookie stores a new session under a token of our own, at its first save", async () => {
    const { sessions, open } = framework();
    const { request } = await open(null);
    expect(request).toMatchObject({ state: "new", userId: null, id: null });
    expect(await request.save({ a: 1 }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ a: 1 });
  });

  test("saves what it changed and keeps what others changed, twice in a row", async () => {
    const { sessions, open, visit } = framework();
    const token = await visit({ a: 1, b: 1 });
    const [one, two] = [await open(token), await open(token)];
    expect(await one.request.save({ a: 2, b: 1 }, null)).toBe("saved");
    expect(await two.request.save({ a: 1, b: 2 }, null)).toBe("saved");
    expect(await two.request.save({ a: 1, b: 3, c: 1 }, null)).toBe("saved");
    expect((await sessions.get(token))?.data).toEqual({ a: 2, b: 3, c: 1 });
  });

  test("does not delete what the framework does not show", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const bridge = new Bridge<Data>(sessions, silent, (key) => key !== "hidden");
    const { token } = await sessions.create({ hidden: 1, a: 1 });
    const request = bridge.request(await bridge.load(token));
    expect(await request.save({ a: 2 }, null)).toBe("saved");
    expect((await sessions.get(token))?.data).toEqual({ hidden: 1, a: 2 });
    expect(await request.save({ a: 3 }, null)).toBe("saved");
    expect((await sessions.get(token))?.data).toEqual({ hidden: 1, a: 3 });
  });

  test("costs a read, and nothing at its end if it changed nothing", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const { open, visit } = framework(store);
    const token = await visit({ a: 1 });
    await open(token);
    takeCalls();
    const { request } = await open(token);
    expect(await request.save({ a: 1 }, null)).toBe("saved");
    expect(await request.touch(null)).toBe("saved");
    expect(takeCalls()).toEqual(["read"]);
    const saving = await open(token);
    await saving.request.save({ a: 2 }, null);
    expect(takeCalls()).toEqual(["read", "update"]);
  });

  test("restarts the idle timeout when it loads the session, unless it is excluded", async () => {
    let now = 1_000_000;
    const store = memoryStore({ clock: () => now });
    const { sessions, open, visit } = framework(store, { idleTimeout: 1000, touchEvery: 1 });
    const token = await visit({ a: 1 });
    now += 600;
    const polling = await open(token, { isUse: false });
    await polling.request.save({ a: 2 }, null);
    await polling.request.touch(null);
    const id = sessions.idOf(token)!;
    expect((await store.read(id))!.touchedAt).toBe(1_000_000);
    const { request } = await open(token);
    await request.touch(null);
    expect((await store.read(id))!.touchedAt).toBe(now);
  });

  test("whose session is revoked meanwhile saves nothing and sets no cookie", async () => {
    const { sessions, open, visit } = framework();
    const token = await visit({ userId: "ada" });
    const { request } = await open(token);
    await sessions.revoke(token);
    expect(await request.save({ userId: "ada", a: 1 }, null)).toBe("dead");
    expect(request.maySetCookie({ userId: "ada" })).toBe(false);
    expect(await request.save({ userId: "ada", a: 2 }, null)).toBe("dead");
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("ends by a maxAge of 0", async () => {
    const { sessions, open, visit } = framework();
    const token = await visit({ userId: "ada" });
    const { request } = await open(token);
    expect(await request.save({ userId: "ada" }, 0)).toBe("dead");
    expect(await sessions.get(token)).toBeNull();
  });

  test("may shorten the idle timeout by its cookie's maxAge, and go back", async () => {
    const { sessions, open, visit } = framework(memoryStore(), { idleTimeout: 10_000 });
    const token = await visit({ a: 1 });
    const { request } = await open(token);
    await request.save({ a: 1 }, 2000);
    expect((await sessions.get(token))?.idle).toBe(2000);
    await request.save({ a: 1 }, 60_000);
    expect((await sessions.get(token))?.idle).toBe(10_000);
    await request.touch(3000);
    expect((await sessions.get(token))?.idle).toBe(3000);
    await request.touch(null);
    expect((await sessions.get(token))?.idle).toBe(10_000);
  });

  test("whose create was stored although its reply was lost saves into that session", async () => {
    const store = memoryStore();
    let isArmed = true;
    const create: SessionStore["create"] = async (session) => {
      const created = await store.create(session);
      if (!isArmed) return created;
      isArmed = false;
      throw new Error("the connection was lost");
    };
    const { sessions, open } = framework({ ...store, create });
    const { request } = await open(null);
    await expect(request.save({ a: 1 }, null)).rejects.toThrow("the store failed");
    expect(await request.save({ a: 2 }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ a: 2 });
  });
});

describe("a logout", () => {
  test("ends the session that the request saw, whatever its token is by then", async () => {
    const { sessions, open, visit, whose } = framework();
    const token = await visit({ userId: "ada" });
    const leaving = await open(token);
    const other = await open(token);
    expect(await other.request.rotate()).toBe("rotated");
    await leaving.request.end();
    expect(await whose(other.request.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("with a user's superseded token ends the session, and with a planted one does not", async () => {
    const { open, visit, whose } = framework();
    const token = await visit({ userId: "ada" });
    const { request } = await open(token);
    await request.rotate();
    await (await open(token)).request.end();
    expect(await whose(request.token)).toBeNull();

    const planted = await visit({});
    const login = await open(planted);
    await login.request.logIn("ada", {});
    await (await open(planted)).request.end();
    expect(await whose(login.request.token)).toBe("ada");
  });

  test("by a superseded token whose request regenerates and names nobody ends the session (passport)", async () => {
    const { open, visit, whose } = framework();
    const token = await visit({ passport: { user: "ada" } });
    const { request } = await open(token);
    await request.rotate();
    const leaving = await open(token);
    await leaving.request.save({}, null);
    await leaving.request.regenerate();
    expect(await whose(request.token)).toBeNull();
  });

  test("that deletes the user, saves and regenerates wins over a request that carries the user over", async () => {
    for (const seed of seeds) {
      const { open, visit, whose } = framework(interleaved(memoryStore(), seed));
      const token = await visit({ userId: "ada" });
      const [leaving, renewing] = [await open(token), await open(token)];
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
        expect(await whose(one), `seed ${seed}`).toBeNull();
      }
    }
  });

  test("may be followed by a new session of the same request", async () => {
    const { sessions, open, visit } = framework();
    const { request } = await open(await visit({ userId: "ada" }));
    await request.end();
    expect(await request.save({ a: 1 }, null)).toBe("dead");
    request.begin();
    expect(await request.save({ flash: "bye" }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ flash: "bye" });
  });
});

test("a logout after a logout and a login in one request ends the login, too", async () => {
  const { sessions, open, visit, whose } = framework();
  const { request } = await open(await visit({ userId: "ada" }));
  await request.end();
  await request.logIn("bob", {});
  expect(await whose(request.token)).toBe("bob");
  await request.end();
  expect(await whose(request.token)).toBeNull();
  expect(await Array.fromAsync(sessions.all())).toEqual([]);
});

describe("a framework's regenerate", () => {
  test("of a live session goes on in place: hidden and blank, until the request saves", async () => {
    const { sessions, open, visit, whose } = framework();
    const token = await visit({ userId: "ada", cart: 1 });
    const id = sessions.idOf(token);
    const { request } = await open(token);
    await request.regenerate();
    expect(request.token.startsWith(`${id}.`)).toBe(true);
    expect(await whose(token)).toBeNull();
    expect(await whose(request.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
    expect((await sessions.get(request.token))?.data).toEqual({ userId: "ada" });
    expect((await sessions.listForUser("ada")).map((one) => one.id)).toEqual([id]);
  });

  test.each([
    ["log out everywhere", (s: Sessions) => s.revokeAllForUser("ada").then(() => undefined)],
    ["a logout with the old token", (s: Sessions, token: string) => s.revoke(token).then(() => undefined)],
    [
      "log out this device",
      (s: Sessions, token: string) => s.revokeById(s.idOf(token)!).then(() => undefined),
    ],
  ])("is within reach of %s until the save", async (_, end) => {
    const { sessions, open, visit, whose } = framework();
    const token = await visit({ userId: "ada" });
    const { request } = await open(token);
    await request.regenerate();
    await end(sessions, token);
    expect(await request.save({ userId: "ada" }, null)).toBe("dead");
    expect(await whose(request.token)).toBeNull();
    expect(request.maySetCookie({ userId: "ada" })).toBe(false);
  });

  test("of a session that ended meanwhile gives one that is never stored", async () => {
    for (const data of [{ userId: "ada" }, { user: { id: "ada" } }]) {
      const { sessions, open, visit } = framework();
      const token = await visit(data);
      const { request } = await open(token);
      await sessions.revoke(token);
      const next = await request.regenerate();
      expect(await request.save(data, null)).toBe("dead");
      expect(await sessions.get(next)).toBeNull();
      expect(request.maySetCookie(data)).toBe(false);
    }
  });

  test("leaves no data in the store until the save", async () => {
    const store = memoryStore();
    const { sessions, open, visit } = framework(store);
    const token = await visit({ userId: "ada", secret: "s3cr3t" });
    const { request } = await open(token);
    await request.regenerate();
    expect((await store.read(sessions.idOf(token)!))!.data).not.toContain("s3cr3t");
  });

  test("and a save that names another user is a login: bound, dated, with a new lifetime", async () => {
    const { sessions, open, visit } = framework();
    const token = await visit({ userId: "ada", secret: 1 });
    const { request } = await open(token);
    await request.regenerate();
    await request.save({ userId: "bob" }, null);
    expect(await sessions.get(request.token)).toMatchObject({ userId: "bob", data: { userId: "bob" } });
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("and a save that names nobody unbinds, also where logIn had set the user", async () => {
    const { open, whose, sessions } = framework();
    const { request } = await open(null);
    await request.logIn("ada", {});
    await request.regenerate();
    await request.save({ flash: 1 }, null);
    expect(await whose(request.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("shortens the idle timeout until the save, which restores it", async () => {
    const store = memoryStore();
    const { sessions, open, visit } = framework(store, { idleTimeout: "5h" });
    const token = await visit({ a: 1 });
    const id = sessions.idOf(token)!;
    const { request } = await open(token);
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
    "of a session whose maxAge was 2000, saved with $after, has an idle timeout of $idle",
    async ({ after, idle }) => {
      for (const user of ["ada", "bob"]) {
        const { sessions, open, visit } = framework(memoryStore(), { idleTimeout: 10_000 });
        const { request: first } = await open(await visit({ userId: "ada" }));
        await first.save({ userId: "ada" }, 2000);
        const { request } = await open(first.token);
        request.maxAge = 2000;
        await request.regenerate();
        await request.save({ userId: user }, after);
        expect((await sessions.get(request.token))?.idle).toBe(idle);
      }
    },
  );

  test("twice in a request gives the same hidden session", async () => {
    const { sessions, open, visit } = framework();
    const token = await visit({ userId: "ada" });
    const { request } = await open(token);
    expect(await request.regenerate()).toBe(await request.regenerate());
    await request.save({ userId: "ada" }, null);
    expect(await sessions.revoke(token)).toBe(true);
  });
});

describe("a regenerate with the request's data", () => {
  test("that no longer name the user ends the session, though another request has replaced its token", async () => {
    for (const replaces of ["rotate", "regenerate"] as const) {
      const { sessions, open, visit } = framework();
      const token = await visit({ userId: "ada" });
      const [leaving, renewing] = [await open(token), await open(token)];
      await renewing.request[replaces]();
      await renewing.request.save({ userId: "ada" }, null);
      await leaving.request.regenerate(undefined, { userId: undefined });
      expect(await sessions.get(renewing.request.token)).toBeNull();
      expect(await leaving.request.save({ message: "goodbye" }, null)).toBe("saved");
      expect(await sessions.get(leaving.request.token)).toMatchObject({ userId: null });
    }
  });

  test("that still name the user ends nothing", async () => {
    const { open, visit, whose } = framework();
    const { request, data } = await open(await visit({ userId: "ada" }));
    await request.regenerate(undefined, data);
    await request.save({ userId: "ada" }, null);
    expect(await whose(request.token)).toBe("ada");
  });
});

test("a login by the data after a rotation keeps the idle timeout of the cookie's maxAge", async () => {
  const { sessions, open, visit } = framework(memoryStore(), { idleTimeout: 10_000 });
  const { request } = await open(await visit({ cart: 1 }));
  await request.save({ cart: 1 }, 2000);
  await request.rotate();
  await request.save({ cart: 1, userId: "ada" }, 2000);
  expect(await sessions.get(request.token)).toMatchObject({ userId: "ada", idle: 2000 });
});

test("a login by the data restarts the lifetime if the request has replaced the secret, and else does not", async () => {
  for (const isRotated of [true, false]) {
    let now = 1_000_000;
    const { sessions, open, visit } = framework(memoryStore({ clock: () => now }), { lifetime: "1h" });
    const { request } = await open(await visit({ cart: 1 }));
    if (isRotated) await request.rotate();
    now += 60_000;
    await request.save({ cart: 1, userId: "ada" }, null);
    const [session] = await sessions.listForUser("ada");
    expect(session!.endsAt - session!.createdAt).toBe(3_600_000 + (isRotated ? 60_000 : 0));
  }
});

test("a request that logged out everywhere may begin a new session", async () => {
  const { open, visit, whose } = framework();
  for (const data of [{ userId: "ada" }, { cart: 1 }]) {
    const { request } = await open(await visit(data));
    await request.logOutEverywhere();
    await request.regenerate();
    expect(await request.save({ userId: "bob" }, null)).toBe("saved");
    expect(await whose(request.token)).toBe("bob");
  }
});

describe("a parallel request with the cookie from before a login", () => {
  test("goes on leaving the browser's cookie alone after it regenerates or logs out", async () => {
    const { open, visit, whose } = framework();
    for (const way of ["regenerate", "end"] as const) {
      const visitor = await visit({ csrf: 1 });
      const login = await open(visitor);
      await login.request.logIn("ada", {});
      const { request } = await open(visitor);
      await request[way]();
      request.begin();
      expect(request.maySetCookie({})).toBe(false);
      expect(await request.save({ csrf: 2 }, null)).toBe("withheld");
      expect(await whose(login.request.token)).toBe("ada");
    }
  });

  test("stores nothing and sets no cookie, unless it logs somebody in", async () => {
    const { sessions, open, visit, whose } = framework();
    const visitor = await visit({ csrf: 1 });
    const login = await open(visitor);
    await login.request.logIn("ada", { csrf: 1 });
    const poll = await open(visitor);
    expect(poll.data).toEqual({});
    expect(poll.request.maySetCookie({ csrf: 2 })).toBe(false);
    expect(await poll.request.save({ csrf: 2 }, null)).toBe("withheld");
    expect(poll.request.maySetCookie({ userId: "bob" })).toBe(true);
    expect(await poll.request.save({ userId: "bob" }, null)).toBe("saved");
    expect(await whose(login.request.token)).toBe("ada");
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("is the first request that begins in the callback of get, and no other one", async () => {
    const { bridge, open, visit } = framework();
    const visitor = await visit({ csrf: 1 });
    await (await open(visitor)).request.logIn("ada", {});
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
    const { open, visit, sessions } = framework();
    const visitor = await visit({});
    const [poll, login] = [await open(visitor), await open(visitor)];
    await login.request.logIn("ada", {});
    expect(await poll.request.save({ csrf: 1 }, null)).toBe("dead");
    expect(poll.request.maySetCookie({ csrf: 1 })).toBe(false);
    expect((await sessions.get(login.request.token))?.data).toEqual({});
  });
});

describe("logIn in a request", () => {
  test("keeps what the request has changed and not saved, and what others saved", async () => {
    const { sessions, open, visit } = framework();
    const visitor = await visit({ cart: ["tea"] });
    const [other, login] = [await open(visitor), await open(visitor)];
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
    const { sessions, open } = framework();
    const { request } = await open(null);
    await request.logIn(1n, { theme: "dark" });
    expect(await sessions.get(request.token)).toMatchObject({ userId: "1", data: { theme: "dark" } });
  });

  test("over another user's session keeps only what is named", async () => {
    const { open, visit, whose } = framework();
    const ada = await visit({ userId: "ada", mfa: true, cart: 1 });
    const { request, data } = await open(ada);
    const result = await request.logIn("bob", data, { keep: ["cart"] });
    expect(result).toMatchObject({ session: { data: { cart: 1 }, userId: "bob" } });
    expect(await whose(ada)).toBeNull();
  });

  test("is refused if the user is logged out everywhere after the request began, and the session is over", async () => {
    const { sessions, open, visit } = framework();
    const visitor = await visit({ a: 1 });
    const { request, data } = await open(visitor);
    await sessions.revokeAllForUser("ada");
    expect(await request.logIn("ada", data)).toEqual({ refused: "logged-out-meanwhile" });
    expect(await request.save({ a: 2, userId: "ada" }, null)).toBe("dead");
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("by a plain save is refused in the same way", async () => {
    const { sessions, open, visit } = framework();
    for (const token of [await visit({ a: 1 }), null]) {
      const { request } = await open(token);
      await sessions.since();
      await sessions.revokeAllForUser("ada");
      expect(await request.save({ a: 1, userId: "ada" }, null)).toBe("dead");
      expect(await sessions.listForUser("ada")).toEqual([]);
    }
  });

  test("with an idle timeout of its own says so, for the cookie", async () => {
    const { open } = framework(memoryStore(), { maxIdleTimeout: "30d", maxLifetime: "60d" });
    const { request } = await open(null);
    await request.logIn("ada", {}, { idle: "30d", lifetime: "60d" });
    expect(request.ownIdle).toBe(30 * 86_400_000);
    await request.save({ a: 1 }, 30 * 86_400_000);
    expect(request.maySetCookie({})).toBe(true);
  });

  test("after log out everywhere but this one goes on, and so does what the request makes of it", async () => {
    const { sessions, open, visit, whose } = framework();
    const token = await visit({ userId: "ada" });
    const thief = await visit({ userId: "ada" });
    const { request } = await open(token);
    expect(await request.logOutEverywhere({ keepThis: true })).toBe(1);
    await request.regenerate();
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
    expect(await whose(request.token)).toBe("ada");
    expect(await whose(thief)).toBeNull();
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });
});

test("a maxAge above the idle timeout is warned about, once", async () => {
  const warnings: string[] = [];
  const sessions = new Sessions({ store: memoryStore(), idleTimeout: 1000 });
  const bridge = new Bridge<Data>(sessions, (code) => warnings.push(code));
  await bridge.request().save({ a: 1 }, 5000);
  await bridge.request().save({ a: 1 }, 500);
  expect(warnings).toEqual(["TENURE_MAX_AGE_CAPPED"]);
});

test("a save that is dropped publishes an event, and one that changed nothing does not", async () => {
  const heard: unknown[] = [];
  const listen = (event: unknown): unknown => heard.push(event);
  subscribe("tenure:late-save-dropped", listen);
  try {
    const { sessions, open, visit } = framework();
    const token = await visit({ a: 1 });
    const [changing, reading] = [await open(token), await open(token)];
    await sessions.revoke(token);
    await reading.request.touch(null);
    expect(heard).toEqual([]);
    await changing.request.save({ a: 2 }, null);
    expect(heard).toMatchObject([{ id: sessions.idOf(token) }]);
  } finally {
    unsubscribe("tenure:late-save-dropped", listen);
  }
});

test("a bridge is refused what is not a Sessions of this copy of the package", () => {
  expect(() => new Bridge({} as never, silent)).toThrow(/one copy of @tenure\/core/);
});

test("an end by an anonymous visitor's token that a login has replaced ends nothing, and by a user's the session", async () => {
  const { bridge, open, visit, whose } = framework();
  const anonymous = await visit({ cart: 1 });
  const { request, data } = await open(anonymous);
  await request.logIn("ada", data);
  await bridge.end(anonymous);
  expect(await whose(request.token)).toBe("ada");
  const before = request.token;
  await request.rotate();
  await bridge.end(before);
  expect(await whose(request.token)).toBeNull();
});
