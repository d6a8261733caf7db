import { memoryStore, Sessions, StoreError } from "@tenure/core";
import type { FastifyRequest } from "fastify";
import { describe, expect, test, vi } from "vitest";
import { type FastifySessionStore, fastifySessionStore, type RequestWithSession } from "../src/index.ts";
import { freezeTime } from "./frozen-time.ts";
import { dataOf, type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": dataOf,
  "/who": (request, store) => store.userOf(request),
  "/set": (request) => {
    Object.assign(dataOf(request), request.body);
  },
  "/logIn": async (request, store) => {
    const { user = "ada", ...options } = request.body as { user?: string };
    return store.logIn(request, user, options);
  },
  "/rotate": (request, store) => store.rotate(request),
  "/logOut": (request, store) => store.logOut(request),
  "/everywhere": (request, store) => store.logOutEverywhere(request),
  "/others": (request, store) => store.logOutEverywhere(request, { keepThis: true }),
};

const ignored = (): void => undefined;

test("each call without a request is a TypeError, with what to pass", async () => {
  const store = fastifySessionStore(new Sessions({ store: memoryStore() }));
  for (const call of [
    (request: never) => store.logIn(request, "ada"),
    (request: never) => store.logOut(request),
    (request: never) => store.logOutEverywhere(request),
    (request: never) => store.rotate(request),
    async (request: never) => store.userOf(request),
  ]) {
    await expect(call({} as never)).rejects.toThrow(/^the request has no session: register/);
    await expect(call(undefined as never)).rejects.toThrow(/^pass the request: /);
  }
});

describe.each(versions)("on $name", (version) => {
  test("logIn of a visitor without a session creates one whose record names the user", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    expect((await browser.post("/logIn")).text).toBe('{"refused":null}');
    expect((await browser.get("/who")).text).toBe('"ada"');
    expect(site.calls).toEqual(["now", "create", "read"]);
  });

  test("logIn keeps the visitor's session and data under a new token, with one read and one write", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logIn": async (request, store) => {
        dataOf(request)["unsaved"] = 1;
        const { session } = request;
        await store.logIn(request, "ada");
        dataOf(request)["after"] = 1;
        await request.session.save();
        return session === request.session;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const [before] = await Array.fromAsync(site.sessions.all());
    const planted = browser.twin();
    site.calls.length = 0;
    expect((await browser.post("/logIn")).text).toBe("true");
    expect(site.calls.filter((call) => call !== "now")).toEqual(["read", "update", "update"]);
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ cart: 1, unsaved: 1, after: 1 });
    expect((await planted.get("/who")).text).toBe("null");
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ id: before?.id }]);
  });

  test.for<[string, Routes[string]]>([
    [
      "a save that is not awaited and a login through regenerate",
      async (request) => {
        dataOf(request)["visits"] = 1;
        request.session.save(ignored);
        await request.session.regenerate();
        dataOf(request)["userId"] = "ada";
      },
    ],
    [
      "a login through two concurrent regenerates",
      async (request) => {
        await Promise.all([request.session.regenerate(), request.session.regenerate()]);
        dataOf(request)["userId"] = "ada";
      },
    ],
    [
      "a destroy that is not awaited and a logIn",
      async (request, store) => {
        request.session.destroy(ignored);
        await store.logIn(request, "ada");
      },
    ],
    [
      "a regenerate that is not awaited and a logIn",
      async (request, store) => {
        request.session.regenerate(ignored);
        await store.logIn(request, "ada");
      },
    ],
    [
      "a logOut that is not awaited and a logIn",
      async (request, store) => {
        const ending = store.logOut(request);
        await store.logIn(request, "ada");
        await ending;
      },
    ],
    [
      "a logOutEverywhere that is not awaited and a logIn",
      async (request, store) => {
        const ending = store.logOutEverywhere(request);
        await store.logIn(request, "ada");
        await ending;
      },
    ],
    [
      "a logIn and then a reload",
      async (request, store) => {
        await store.logIn(request, "ada");
        await request.session.reload();
      },
    ],
    [
      "a login through regenerate and then a destroy of the old id",
      async (request, store) => {
        const { sessionId } = request.session;
        await request.session.regenerate();
        dataOf(request)["userId"] = "ada";
        await request.session.save();
        await new Promise((done) => store.destroy(sessionId, done));
      },
    ],
  ])("a request with %s logs the browser in", async ([, login]) => {
    await using site = await serve(version, { ...routes, "/in": login });
    for (const visits of [0, 1]) {
      const browser = site.browser();
      if (visits > 0) await browser.post("/set", { cart: 1 });
      expect((await browser.post("/in")).status).toBe(200);
      expect((await browser.get("/who")).text).toBe('"ada"');
    }
  });

  test.for<[string, object, boolean]>([
    ["is not valid", { idle: -1 }, false],
    ["fails in the store", {}, true],
  ])(
    "after a logOut that is not awaited and a logIn that %s, the request has no data of the session, and nobody is logged in",
    async ([, options, fails]) => {
      let isDown = false;
      const refuseCreate = (call: string): void => {
        if (isDown && call === "create") throw new Error("the store is down");
      };
      const inRoute: Routes[string] = async (request, store) => {
        isDown = fails;
        const ending = store.logOut(request);
        const failure = await store.logIn(request, "bob", options).catch((error: Error) => error.name);
        await ending;
        return { failure, cart: dataOf(request)["cart"] ?? null, user: store.userOf(request) };
      };
      await using site = await serve(version, { ...routes, "/in": inRoute }, { beforeCall: refuseCreate });
      const browser = site.browser();
      await browser.post("/logIn");
      await browser.post("/set", { cart: 1 });
      const { text } = await browser.post("/in");
      const failure = fails ? "StoreError" : "TypeError";
      expect(JSON.parse(text)).toEqual({ failure, cart: null, user: null });
      expect((await browser.get("/who")).text).toBe("null");
    },
  );

  test("logIn in another user's session begins a new one with only the named keys, and ends the other", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logIn": async (request, store) => {
        await store.logIn(request, "bob", { keep: ["cart"] });
        return dataOf(request);
      },
    });
    const browser = site.browser();
    await browser.post("/set", { userId: "ada", cart: 1, secret: 1 });
    const old = browser.twin();
    const seen = JSON.parse((await browser.post("/logIn")).text) as object;
    expect(seen).toMatchObject({ cart: 1 });
    expect(Object.keys(seen).toSorted()).toEqual(["cart", "cookie"]);
    expect((await browser.get("/who")).text).toBe('"bob"');
    expect((await old.get("/who")).text).toBe("null");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("logIn in a request that began before revokeAllForUser is refused, leaves no session, and sets no cookie", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logIn": async (request, store) => {
        await site.sessions.revokeAllForUser("ada");
        const { refused } = await store.logIn(request, "ada");
        dataOf(request)["userId"] = "ada";
        return refused;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const { text, setCookies } = await browser.post("/logIn");
    expect({ text, setCookies }).toEqual({ text: '"logged-out-meanwhile"', setCookies: [] });
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("logIn succeeds after revokeAllForUser has resolved", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    for (let round = 0; round < 5; round += 1) {
      await browser.post("/logIn");
      await site.sessions.revokeAllForUser("ada");
      expect((await browser.post("/logIn")).text).toBe('{"refused":null}');
      expect((await browser.get("/who")).text).toBe('"ada"');
    }
  });

  test("logIn creates a session after a destroy in the same request", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logIn": async (request, store) => {
        await request.session.destroy();
        await store.logIn(request, "ada");
        dataOf(request)["a"] = 1;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    await browser.post("/logIn");
    expect((await browser.get("/who")).text).toBe('"ada"');
    await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
  });

  test.for<[string, (request: RequestWithSession, store: FastifySessionStore) => Promise<unknown>]>([
    ["logOut", (request, store) => store.logOut(request)],
    ["destroy", (request) => (request.session as unknown as { destroy(): Promise<void> }).destroy()],
    ["logOutEverywhere", (request, store) => store.logOutEverywhere(request)],
  ])(
    "logIn is refused and leaves no session if the same request calls %s while it runs",
    async ([, logOut]) => {
      await using site = await serve(version, {
        ...routes,
        "/both": async (request, store) => {
          const login = store.logIn(request, "ada");
          await logOut(request, store);
          return [await login, store.userOf(request)];
        },
      });
      for (const cart of [{ cart: 1 }, undefined]) {
        const browser = site.browser();
        if (cart) await browser.post("/set", cart);
        expect((await browser.post("/both")).text).toBe('[{"refused":"logged-out-meanwhile"},null]');
        expect((await browser.get("/who")).text).toBe("null");
      }
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    },
  );

  test.each<[string, (request: FastifyRequest) => FastifyRequest]>([
    ["a proxy of the request", (request) => new Proxy(request, {})],
    ["an object that inherits from the request", (request) => Object.create(request) as FastifyRequest],
  ])("the store's calls accept %s", async (_what, derived) => {
    await using site = await serve(version, {
      ...routes,
      "/logIn": async (request, store) => {
        await store.logIn(derived(request), "ada");
        return [store.userOf(request), store.userOf(derived(request))];
      },
    });
    for (const browser of [site.browser(), site.browser((await site.sessions.create({ cart: 1 })).token)]) {
      expect((await browser.post("/logIn")).text).toBe('["ada","ada"]');
      expect((await browser.get("/who")).text).toBe('"ada"');
    }
  });

  test("logIn accepts a bigint as the user id", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logIn": (request, store) => store.logIn(request, 9007199254740993n),
    });
    const browser = site.browser();
    await browser.post("/logIn");
    expect((await browser.get("/who")).text).toBe('"9007199254740993"');
  });

  test('a "remember me" login sets the idle timeout of both session and cookie, until a plain login', async () => {
    const day = 86_400_000;
    await using site = await serve(version, routes, {
      sessions: { maxIdleTimeout: "30d", maxLifetime: "30d" },
    });
    const browser = site.browser();
    const { setCookies } = await browser.post("/logIn", { idle: "30d", lifetime: "30d" });
    const expires = /expires=([^;]+)/i.exec(setCookies.at(-1) ?? "")?.[1] ?? "";
    expect(Date.parse(expires) - Date.now()).toBeGreaterThan(29 * day);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 30 * day }]);
    await browser.post("/set", { cart: 1 });
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 30 * day }]);
    const plain = await browser.post("/logIn");
    expect(plain.setCookies.at(-1)).not.toMatch(/expires|max-age/i);
    const { idleTimeout: idle } = site.sessions.policy;
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle }]);
  });

  test("logIn with an idle timeout above the policy's maximum is an error and changes nothing", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/logIn");
    const { status, setCookies } = await browser.post("/logIn", { idle: "30d" });
    expect(status).toBe(500);
    expect(setCookies.join()).not.toMatch(/expires/i);
    expect((await browser.get("/who")).text).toBe('"ada"');
  });

  test("rotate gives a new token, keeps data, cookie and times, and the old token opens nothing", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (request, store) => {
        dataOf(request)["unsaved"] = 1;
        const result = await store.rotate(request);
        dataOf(request)["after"] = 1;
        return [result, request.session.sessionId];
      },
      "/remember": (request) => {
        request.session.cookie.maxAge = 60_000;
        return request.session.save();
      },
    });
    const browser = site.browser();
    await browser.post("/logIn");
    await browser.get("/remember");
    const [before] = await site.sessions.listForUser("ada");
    const old = browser.twin();
    const { text, setCookies } = await browser.post("/sudo");
    const [result, token] = JSON.parse(text) as [string, string];
    expect(result).toBe("rotated");
    expect(setCookies.at(-1)).toMatch(/expires/i);
    expect((await old.get("/who")).text).toBe("null");
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ unsaved: 1, after: 1 });
    const { id, createdAt, endsAt, idle } = before ?? {};
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ id, createdAt, endsAt, idle }]);
    await expect(site.sessions.get(token)).resolves.toMatchObject({ userId: "ada" });
  });

  test("rotate sets the new cookie even if the request changes nothing", async () => {
    await using site = await serve(version, routes, { plugin: { rolling: false } });
    const browser = site.browser();
    await browser.post("/logIn");
    const before = browser.cookies.get("sessionId");
    expect((await browser.post("/rotate")).text).toBe('"rotated"');
    expect(browser.cookies.get("sessionId")).not.toBe(before);
    expect((await browser.get("/who")).text).toBe('"ada"');
  });

  test('rotate resolves to "new" before the session is stored, and to "dead" after it has ended, and then stores nothing', async () => {
    await using site = await serve(version, {
      ...routes,
      "/dead": async (request, store) => {
        await site.sessions.revokeAllForUser("ada");
        const result = await store.rotate(request);
        dataOf(request)["userId"] = "ada";
        await request.session.save();
        return result;
      },
    });
    const browser = site.browser();
    expect((await browser.post("/rotate")).text).toBe('"new"');
    await browser.post("/logIn");
    const { text, setCookies } = await browser.post("/dead");
    expect({ text, setCookies }).toEqual({ text: '"dead"', setCookies: [] });
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each(["rotate", "logIn"])(
    "if the store fails once during %s, the user stays logged in",
    async (call) => {
      let failures = 0;
      await using site = await serve(version, routes, {
        beforeCall(name) {
          if (name !== "update" || failures === 0) return;
          failures -= 1;
          throw new StoreError("update", "the backend is down");
        },
      });
      const browser = site.browser();
      await browser.post("/logIn");
      failures = 1;
      expect((await browser.post(`/${call}`)).status).toBe(200);
      expect(failures).toBe(0);
      expect((await browser.get("/who")).text).toBe('"ada"');
    },
  );

  test("logOut ends the session and clears the cookie, and the request can continue with a blank session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logOutAndContinue": async (request, store) => {
        await store.logOut(request);
        const keys = Object.keys(dataOf(request));
        dataOf(request)["message"] = "goodbye";
        return keys;
      },
    });
    const browser = site.browser();
    for (const path of ["/logOut", "/logOutAndContinue"]) {
      await browser.post("/logIn");
      const thief = browser.twin();
      const { text } = await browser.post(path);
      expect(text).toBe(path === "/logOut" ? "null" : '["cookie"]');
      expect(browser.cookies.has("sessionId")).toBe(path === "/logOutAndContinue");
      expect((await thief.get("/who")).text).toBe("null");
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    }
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ message: "goodbye" });
  });

  test("logOutEverywhere ends every session of the user, and with keepThis every other session", async () => {
    await using site = await serve(version, routes);
    const [laptop, phone] = [site.browser(), site.browser()];
    await laptop.post("/logIn");
    await phone.post("/logIn");
    expect((await laptop.post("/others")).text).toBe("1");
    expect((await laptop.get("/who")).text).toBe('"ada"');
    expect((await phone.get("/who")).text).toBe("null");
    await phone.post("/logIn");
    expect((await laptop.post("/everywhere")).text).toBe("2");
    expect(laptop.cookies.size).toBe(0);
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("the user can repeat a logOutEverywhere that failed, or that was refused for an unknown option", async () => {
    let isDown = false;
    const everywhere: Routes = {
      ...routes,
      "/everywhere": (request, store) => store.logOutEverywhere(request, request.body ?? {}),
    };
    await using site = await serve(version, everywhere, {
      beforeCall: (call) => {
        if (isDown && call === "revokeUser") throw new Error("down");
      },
    });
    const [browser, phone] = [site.browser(), site.browser()];
    await browser.post("/logIn");
    await browser.post("/set", { note: 1 });
    await phone.post("/logIn");
    expect((await browser.post("/everywhere", { keepthis: true })).status).toBe(500);
    isDown = true;
    expect((await browser.post("/everywhere")).status).toBe(500);
    isDown = false;
    expect((await browser.get("/who")).text).toBe('"ada"');
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ note: 1 });
    expect((await browser.post("/everywhere")).text).toBe("2");
    expect((await phone.get("/who")).text).toBe("null");
  });

  test("after logOutEverywhere with keepThis, a regenerate in the same request can keep the user", async () => {
    await using site = await serve(version, {
      ...routes,
      "/password": async (request, store) => {
        await store.logOutEverywhere(request, { keepThis: true });
        await request.session.regenerate();
        dataOf(request)["userId"] = "ada";
      },
    });
    const browser = site.browser();
    await browser.post("/set", { userId: "ada" });
    await browser.post("/password");
    expect((await browser.get("/who")).text).toBe('"ada"');
  });

  test("a revokeAllForUser between a regenerate and its save logs the browser out", async () => {
    const [reached, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (request) => {
        const { userId } = dataOf(request);
        await request.session.regenerate();
        dataOf(request)["userId"] = userId;
        reached.resolve();
        await opened.promise;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { userId: "ada" });
    const sudo = browser.post("/sudo");
    await reached.promise;
    await expect(site.sessions.revokeAllForUser("ada")).resolves.toBe(1);
    opened.resolve();
    await sudo;
    expect((await browser.get("/who")).text).toBe("null");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a logout with a user's token that another request has just replaced ends the session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/destroy": (request) => request.session.destroy(),
      "/passport": (request) => request.session.regenerate(),
    });
    for (const path of ["/logOut", "/everywhere", "/destroy", "/passport"]) {
      const browser = site.browser();
      await browser.post("/logIn");
      const old = browser.twin();
      await browser.post("/rotate");
      await old.post(path);
      expect((await browser.get("/who")).text).toBe("null");
    }
  });

  test.each([true, false])(
    "a request with a token that has just been replaced neither sets nor clears the cookie until it logs in, with rolling: %s",
    async (rolling) => {
      await using site = await serve(version, routes, { plugin: { rolling } });
      const browser = site.browser();
      await browser.post("/logIn");
      const old = browser.twin();
      await browser.post("/rotate");
      for (const [path, body] of [
        ["/", {}],
        ["/set", { csrf: 1 }],
      ] as const) {
        const { status, setCookies } = await old.post(path, body);
        expect({ status, setCookies }).toEqual({ status: 200, setCookies: [] });
      }
      await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
      await old.post("/logIn", { user: "bob" });
      expect((await old.get("/who")).text).toBe('"bob"');
    },
  );

  test("a visitor's token from before the login cannot log the user out, and its requests do not clear the new cookie", async () => {
    await using site = await serve(version, {
      ...routes,
      "/destroy": (request) => request.session.destroy(),
      "/regenerate": (request) => request.session.regenerate(),
    });
    for (const path of ["/logOut", "/destroy", "/regenerate"]) {
      const browser = site.browser();
      await browser.post("/set", { cart: 1 });
      const planted = browser.twin();
      await browser.post("/logIn");
      expect((await planted.post(path)).setCookies).toEqual([]);
      expect((await browser.get("/who")).text).toBe('"ada"');
    }
  });

  test("a login by the data with a token that another request has just replaced sets a cookie, even with a codec that accepts only plain objects", async () => {
    const encode = (data: object): string => {
      const isPlain = [data, ...Object.values(data)].every(
        (value) => typeof value !== "object" || Object.getPrototypeOf(value) === Object.prototype,
      );
      if (isPlain) return JSON.stringify(data);
      throw new TypeError("not a plain object");
    };
    const codec = { encode, decode: (text: string) => JSON.parse(text) as object };
    await using site = await serve(version, routes, { sessions: { codec } });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const late = browser.twin();
    await browser.post("/logIn");
    expect((await late.post("/set", { userId: "ada" })).setCookies).toHaveLength(1);
    expect((await late.get("/who")).text).toBe('"ada"');
  });

  test.for([
    ["an error", new Error("of the application"), "of the application"],
    ["an error for a missing file", Object.assign(new Error("secret"), { code: "ENOENT" }), /./],
    ["undefined", undefined, /./],
  ] as const)(
    "%s that isUse throws is a 500, whatever the cookie stands for",
    async ([, thrown, message]) => {
      await using site = await serve(version, routes, {
        bridge: {
          isUse({ headers }) {
            if (headers["x-broken"] === undefined) return true;
            // oxlint-disable-next-line typescript/only-throw-error -- as a careless application may
            throw thrown;
          },
        },
      });
      const browser = site.browser();
      const visitor = browser.twin();
      await browser.post("/logIn");
      const loggedOut = browser.twin();
      await loggedOut.post("/logOut");
      await browser.post("/logIn");
      for (const one of [visitor, browser, browser.twin(), loggedOut]) {
        const { status, text } = await one.get("/", { "x-broken": "1" });
        expect(status).toBe(500);
        expect(text).toMatch(message);
      }
      expect((await browser.get("/who")).text).toBe('"ada"');
    },
  );

  test("a request for which isUse returns false does not extend the session, even if it saves", async () => {
    freezeTime();
    await using site = await serve(version, routes, {
      sessions: { idleTimeout: 60_000 },
      bridge: { isUse: ({ headers }) => headers["x-poll"] === undefined },
    });
    const [polling, using] = [site.browser(), site.browser()];
    for (const browser of [polling, using]) await browser.post("/set", { userId: "ada" });
    for (let step = 0; step < 3; step += 1) {
      vi.advanceTimersByTime(25_000);
      await polling.post("/set", { step }, { "x-poll": "1" });
      await using.get("/who");
    }
    expect((await polling.get("/who")).text).toBe("null");
    expect((await using.get("/who")).text).toBe('"ada"');
  });

  test("every call without the plugin is a TypeError that says what to do", async () => {
    const calls: ((store: FastifySessionStore) => Promise<unknown>)[] = [
      (store) => store.logIn({ session: null }, "ada"),
      (store) => store.logOut({ session: {} }),
      (store) => store.logOutEverywhere({ session: null }),
      (store) => store.rotate({ session: null }),
      async (store) => store.userOf({ session: null }),
    ];
    await using site = await serve(version, {
      "/": async (_request, store) =>
        Promise.all(calls.map((call) => call(store).catch((error: unknown) => String(error)))),
    });
    const errors = JSON.parse((await site.browser().get("/")).text) as string[];
    for (const error of errors) expect(error).toMatch(/^TypeError: .*register @fastify\/session/);
  });
});
