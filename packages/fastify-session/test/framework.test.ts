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

  test.each([true, false])(
    "reload while the store fails is an error and loses nothing, rolling: %s",
    async (rolling) => {
      let isDown = false;
      await using site = await serve(
        version,
        {
          ...routes,
          "/reload": async (request) => {
            isDown = true;
            await request.session.reload().finally(() => (isDown = false));
          },
          "/reload-and-go-on": async (request) => {
            isDown = true;
            await request.session.reload().catch(() => (isDown = false));
            dataOf(request)["added"] = 1;
            await request.session.save();
          },
        },
        {
          meet: failingWhen(() => isDown),
          plugin: { rolling, cookie: { secure: false, maxAge: 3600_000 } },
        },
      );
      const browser = site.browser();
      await browser.post("/login");
      await browser.post("/set", { cart: 1 });
      expect((await browser.post("/reload")).status).toBe(500);
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada", cart: 1 });
      expect((await browser.post("/reload-and-go-on")).status).toBe(200);
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
        { data: { userId: "ada", cart: 1, added: 1 } },
      ]);
    },
  );

  test("the response waits for the save, so that a redirect can't overtake it", async () => {
    let isStored = false;
    await using site = await serve(version, routes, {
      async meet(call) {
        if (call !== "create") return;
        await sleep(50);
        isStored = true;
      },
    });
    await site.browser().post("/set", { cart: 1 });
    expect(isStored).toBe(true);
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

  test("to regenerate what this request has destroyed itself is a login, and the old id stays dead", async () => {
    await using site = await serve(version, {
      ...routes,
      "/both": async (request) => {
        const { session } = request;
        await session.destroy();
        await session.regenerate();
        dataOf(request)["userId"] = "ada";
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const old = browser.twin();
    expect((await browser.post("/both")).status).toBe(200);
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    expect(JSON.parse((await old.get("/")).text)).not.toHaveProperty("userId");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
  });

  test("a plain object, with and without a cookie, given to set makes a session, or replaces it where it is alive", async () => {
    await using site = await serve(version, {
      "/": async (_request, store) => {
        const id = store.idGenerator();
        for (const data of [
          { userId: "ada", a: 1 },
          { userId: "ada", b: 2, cookie: { maxAge: 60_000 } },
        ]) {
          await new Promise<void>((resolve, reject) => {
            store.set(id, data, (error) => (error ? reject(error) : resolve()));
          });
        }
      },
    });
    await site.browser().get("/");
    const [stored] = await site.sessions.listForUser("ada");
    expect(stored?.data).toEqual({ userId: "ada", b: 2, cookie: { originalMaxAge: 60_000 } });
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

  test("cookiePrefix and a signer of one's own work", async () => {
    await using site = await serve(version, routes, {
      plugin: {
        cookiePrefix: "s:",
        secret: new version.cookie.Signer(SECRET),
        // A setting of express-session, without effect here.
        cookie: { secure: false, signed: true } as { secure: boolean },
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect(browser.cookies.get("sessionId")).toMatch(/^s(?:%3A|:)/);
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
  });

  test("a cookie that was signed with the secret before the present one logs in, one of a stranger's does not", async () => {
    const [present, before, strange] = ["f", "0", "7"].map((digit) => digit.repeat(64));
    if (!present || !before || !strange) throw new Error("three secrets were meant");
    await using site = await serve(version, routes, { plugin: { secret: [present, before] } });
    const { token } = await site.sessions.create({ userId: "ada" }, { userId: "ada" });
    const found = [present, before, strange].map(async (secret) => {
      const browser = site.browser();
      browser.cookies.set("sessionId", encodeURIComponent(new version.cookie.Signer(secret).sign(token)));
      return (JSON.parse((await browser.get("/")).text) as { userId?: unknown }).userId;
    });
    await expect(Promise.all(found)).resolves.toEqual(["ada", "ada", undefined]);
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
