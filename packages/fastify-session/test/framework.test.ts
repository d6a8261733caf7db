import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { dataOf, type Routes, SECRET, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": dataOf,
  "/set": (request) => {
    Object.assign(dataOf(request), request.body);
  },
  "/login": async (request) => {
    await request.session.regenerate();
    dataOf(request)["userId"] = "ada";
  },
  "/logout": (request) => request.session.destroy(),
};

describe.each(versions)("on $name", (version) => {
  describe.each([true, false])("idGenerator handed over: %s", (handsOverGenerator) => {
    test("regenerate leaves the old id dead", async () => {
      await using site = await serve(version, routes, { handsOverGenerator });
      const browser = site.browser();
      await browser.post("/set", { cart: 1 });
      const old = browser.twin();
      await browser.post("/login");
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
      const { text } = await old.get("/");
      expect(JSON.parse(text)).not.toHaveProperty("cart");
      await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
    });

    test("regenerate of a session that died during the request gives no session", async () => {
      const died = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      await using site = await serve(
        version,
        {
          ...routes,
          "/slow": async (request) => {
            reached.resolve();
            await died.promise;
            await request.session.regenerate();
            dataOf(request)["userId"] = "ada";
            await request.session.save();
          },
        },
        { handsOverGenerator },
      );
      const browser = site.browser();
      await browser.post("/login");
      const slow = browser.twin().get("/slow");
      await reached.promise;
      await site.sessions.revokeAllForUser("ada");
      died.resolve();
      expect((await slow).status).toBe(200);
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    });

    test("regenerate by callback answers once and leaves the old id dead", async () => {
      const called: unknown[] = [];
      await using site = await serve(
        version,
        {
          ...routes,
          "/login": (request) =>
            new Promise<void>((resolve) => {
              request.session.regenerate((error: unknown) => {
                called.push(error ?? null);
                dataOf(request)["userId"] = "ada";
                resolve();
              });
            }),
        },
        { handsOverGenerator },
      );
      const browser = site.browser();
      await browser.post("/set", { cart: 1 });
      await browser.post("/login");
      expect(called).toEqual([null]);
      await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ userId: "ada" }]);
    });
  });

  test("a login of a visitor who had no session leaves no tombstone", async () => {
    await using site = await serve(version, routes);
    await site.browser().post("/login");
    expect(site.calls).not.toContain("revoke");
  });

  test("regenerate while the store fails is an error, and no login", async () => {
    let isDown = false;
    await using site = await serve(
      version,
      {
        ...routes,
        "/login-down": async (request) => {
          isDown = true;
          await request.session.regenerate().finally(() => (isDown = false));
          dataOf(request)["userId"] = "ada";
        },
      },
      { meet: failingWhen(() => isDown) },
    );
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    expect((await browser.post("/login-down")).status).toBe(500);
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("reload of a session that died creates nothing under its id", async () => {
    await using site = await serve(version, {
      ...routes,
      "/reload": async (request) => {
        const { sessionId } = request.session;
        await site.sessions.revoke(sessionId);
        await request.session.reload();
        dataOf(request)["userId"] = "ada";
        return request.session.save();
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/reload")).status).toBe(200);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    expect(site.calls.filter((call) => call === "create")).toHaveLength(1);
  });

  test("reload shows what another request saved, and the save after it keeps that", async () => {
    await using site = await serve(version, {
      ...routes,
      "/reload": async (request) => {
        const [stored] = await site.sessions.listForUser("ada");
        if (stored) await site.sessions.save(stored, { ...stored.data, theirs: 1 });
        await request.session.reload();
        const { theirs } = dataOf(request);
        dataOf(request)["mine"] = theirs;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/reload");
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { theirs: 1, mine: 1 } }]);
  });

  test("destroy ends the session, by promise and by callback", async () => {
    await using site = await serve(version, {
      ...routes,
      "/logout-callback": (request) =>
        new Promise<void>((resolve, reject) => {
          request.session.destroy((error: unknown) => (error ? reject(error) : resolve()));
        }),
    });
    for (const path of ["/logout", "/logout-callback"]) {
      const browser = site.browser();
      await browser.post("/login");
      const thief = browser.twin();
      expect((await browser.post(path)).status).toBe(200);
      expect(JSON.parse((await thief.get("/")).text)).not.toHaveProperty("userId");
    }
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("with saveUninitialized, which is the default, a visitor is stored once and then costs reads", async () => {
    await using site = await serve(version, routes, { plugin: { saveUninitialized: true } });
    const browser = site.browser();
    await browser.get("/");
    site.calls.length = 0;
    for (let view = 0; view < 5; view += 1) await browser.get("/");
    expect(site.calls).toEqual(["read", "read", "read", "read", "read"]);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
  });

  test("without saveUninitialized a visitor who does nothing costs nothing", async () => {
    await using site = await serve(version, routes);
    await site.browser().get("/");
    expect(site.calls).toEqual([]);
  });

  test("a changed cookie.maxAge lasts, and so does going back to none", async () => {
    await using site = await serve(version, {
      ...routes,
      "/remember": (request) => {
        request.session.cookie.maxAge = 60_000;
      },
      "/forget": (request) => {
        const { cookie } = request.session;
        // As the framework's own types have no null for maxAge.
        Object.assign(cookie, { originalMaxAge: null, expires: null });
        if (Object.hasOwn(cookie, "maxAge")) delete cookie.maxAge;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.get("/")).setCookies[0]).not.toMatch(/expires/i);
    await browser.get("/remember");
    expect((await browser.get("/")).setCookies[0]).toMatch(/expires/i);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 60_000 }]);
    await browser.get("/forget");
    expect((await browser.get("/")).setCookies[0]).not.toMatch(/expires/i);
    const { idleTimeout } = site.sessions.policy;
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: idleTimeout }]);
  });

  test("with maxAgeMayLengthen a cookie's maxAge is the idle timeout, up to the lifetime", async () => {
    await using site = await serve(
      version,
      {
        ...routes,
        "/remember": (request) => {
          request.session.cookie.maxAge = Number(dataOf(request)["for"]);
        },
      },
      { sessions: { mayLengthen: true, lifetime: "30d" }, bridge: { maxAgeMayLengthen: true } },
    );
    const browser = site.browser();
    await browser.post("/login");
    for (const [days, expected] of [
      [7, 7],
      [365, 30],
    ] as const) {
      await browser.post("/set", { for: days * 86_400_000 });
      await browser.get("/remember");
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
        { idle: expected * 86_400_000 },
      ]);
    }
  });

  test("a maxAge of 0 ends the session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/over": (request) => {
        request.session.cookie.maxAge = 0;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    await browser.get("/over");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(JSON.parse((await thief.get("/")).text)).not.toHaveProperty("userId");
  });

  test("a date that the application sets as cookie.expires ends the session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/until": (request) => {
        request.session.cookie.expires = new Date(Date.now() + 300);
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const copy = browser.twin();
    await browser.get("/until");
    await sleep(310);
    expect(JSON.parse((await copy.get("/")).text)).not.toHaveProperty("userId");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test.runIf(version.hasOptions)("request.session.options lasts", async () => {
    await using site = await serve(version, {
      ...routes,
      "/options": (request) => {
        request.session.options({ maxAge: 60_000, path: "/" });
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.get("/options");
    expect((await browser.get("/")).setCookies[0]).toMatch(/expires/i);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 60_000 }]);
  });

  test("a session that another part of the application made loads, and a page view writes nothing to it", async () => {
    await using site = await serve(version, routes, {
      plugin: { cookie: { secure: false, maxAge: 60_000 } },
    });
    const { token } = await site.sessions.create({ userId: "ada" }, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("sessionId", encodeURIComponent(new version.cookie.Signer(SECRET).sign(token)));
    site.calls.length = 0;
    for (let view = 0; view < 2; view += 1) {
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    }
    expect(site.calls).toEqual(["read", "read"]);
  });

  test("cookiePrefix, a signer of one's own and secrets that are rotated work", async () => {
    const secrets = [SECRET, SECRET.replaceAll("0", "f")];
    await using site = await serve(version, routes, {
      plugin: {
        cookiePrefix: "s:",
        secret: new version.cookie.Signer(secrets),
        // A setting of express-session, without effect here.
        cookie: { secure: false, signed: true } as { secure: boolean },
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect(browser.cookies.get("sessionId")).toMatch(/^s(?:%3A|:)/);
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
  });

  test("what JSON can't hold is an error and stores nothing", async () => {
    await using site = await serve(version, {
      ...routes,
      "/bigint": (request) => {
        dataOf(request)["amount"] = 1n;
        return {};
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.get("/bigint")).status).toBe(500);
    const [stored] = await site.sessions.listForUser("ada");
    expect(stored?.data).not.toHaveProperty("amount");
  });

  test("a weak id is refused before a cookie leaves", async () => {
    let next = 0;
    await using site = await serve(version, routes, {
      plugin: { idGenerator: () => `visitor-${(next += 1)}` },
    });
    const { status, setCookies } = await site.browser().post("/set", { cart: 1 });
    expect({ status, setCookies }).toEqual({ status: 500, setCookies: [] });
  });

  test("the user is told by a function where one is given", async () => {
    await using site = await serve(version, routes, {
      bridge: { userId: (data) => (data["account"] as { id: number } | undefined)?.id },
    });
    await site.browser().post("/set", { account: { id: 7 }, userId: "nobody" });
    await expect(site.sessions.listForUser(7)).resolves.toHaveLength(1);
    await expect(site.sessions.listForUser("nobody")).resolves.toEqual([]);
  });

  test("decryptSession shows a session to what is no request", async () => {
    await using site = await serve(version, {
      ...routes,
      "/socket": (request) =>
        new Promise((resolve) => {
          const socket: { session?: object } = {};
          const { encryptedSessionId } = request.session;
          request.server.decryptSession(encryptedSessionId, socket, () => resolve(socket.session));
        }),
    });
    const browser = site.browser();
    await browser.post("/login");
    expect(JSON.parse((await browser.get("/socket")).text)).toMatchObject({ userId: "ada" });
  });

  test("an idle timeout shorter than the cookie's maxAge holds", async () => {
    await using site = await serve(version, routes, {
      sessions: { idleTimeout: 200 },
      plugin: { cookie: { secure: false, maxAge: 86_400_000 } },
    });
    const browser = site.browser();
    await browser.post("/login");
    await sleep(210);
    expect(JSON.parse((await browser.get("/")).text)).not.toHaveProperty("userId");
  });
});

function failingWhen(isDown: () => boolean): () => void {
  return () => {
    if (isDown()) throw new StoreError("read", "the backend is down");
  };
}
