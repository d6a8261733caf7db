import { StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { dataOf, type Routes, SECRET, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": dataOf,
  "/set": (request) => {
    Object.assign(dataOf(request), request.body);
  },
  "/login": async (request, store) => {
    if (!(await store.rotate(request))) return false;
    dataOf(request)["userId"] = "ada";
    return true;
  },
  "/sudo": (request, store) => store.rotate(request),
};

describe.each(versions)("on $name", (version) => {
  test("rotate gives a new id, leaves the old one dead, and keeps data, cookie, creation and end", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (request, store) => {
        dataOf(request)["unsaved"] = 1;
        const { session } = request;
        const answer = await store.rotate(request);
        dataOf(request)["after"] = 1;
        return [answer, request.session === session, request.session.sessionId];
      },
      "/remember": (request) => {
        request.session.cookie.maxAge = 60_000;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    await browser.post("/login");
    await browser.get("/remember");
    const [before] = await site.sessions.listForUser("ada");
    const old = browser.twin();
    const { text, setCookies } = await browser.post("/sudo");
    const [answer, isSame, id] = JSON.parse(text) as [boolean, boolean, string];
    expect({ answer, isSame }).toEqual({ answer: true, isSame: false });
    expect(setCookies[0]).toMatch(/expires/i);
    expect(JSON.parse((await old.get("/")).text)).not.toHaveProperty("userId");
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada", cart: 1, unsaved: 1 });
    const { createdAt, endsAt, idle } = before ?? {};
    await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([
      { userId: "ada", createdAt, endsAt, idle, data: { cart: 1, unsaved: 1, after: 1 } },
    ]);
    await expect(site.sessions.get(id)).resolves.toMatchObject({ userId: "ada" });
  });

  test("rotate of a session that nobody was told of keeps it: a login leaves one session and no tombstone", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    expect((await browser.post("/login")).text).toBe("true");
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    expect(site.calls).toEqual(["now", "create", "read"]);
  });

  test("rotate twice in one request, and save and regenerate after it, leave one session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/twice": async (request, store) => [await store.rotate(request), await store.rotate(request)],
      "/save": async (request, store) => {
        await store.rotate(request);
        await request.session.save();
        dataOf(request)["late"] = 1;
        await request.session.save();
      },
      "/regenerate": async (request, store) => {
        await store.rotate(request);
        await request.session.regenerate();
        dataOf(request)["userId"] = "ada";
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    for (const path of ["/twice", "/save", "/regenerate"]) {
      expect((await browser.post(path)).status).toBe(200);
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
      await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
    }
  });

  test("rotate of somebody's session that died during the request answers false and gives no login", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (request, store) => {
        await site.sessions.revokeAllForUser("ada");
        const answer = await store.rotate(request);
        dataOf(request)["userId"] = "ada";
        await request.session.save();
        return answer;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/sudo")).text).toBe("false");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("rotate of a session that died when it was nobody's goes on in a new one", async () => {
    await using site = await serve(version, {
      ...routes,
      "/slow-login": async (request, store) => {
        await site.sessions.revoke(request.session.sessionId);
        const answer = await store.rotate(request);
        dataOf(request)["userId"] = "ada";
        return answer;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    expect((await browser.post("/slow-login")).text).toBe("true");
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada", cart: 1 });
  });

  test("rotate of what reload makes of a session that died answers false", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (request, store) => {
        await site.sessions.revokeAllForUser("ada");
        await request.session.reload();
        return store.rotate(request);
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/sudo")).text).toBe("false");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("rotate of what reload makes where the store failed answers false and loses nothing", async () => {
    let isDown = false;
    await using site = await serve(
      version,
      {
        ...routes,
        "/sudo": async (request, store) => {
          isDown = true;
          await request.session.reload().catch(() => (isDown = false));
          return store.rotate(request);
        },
      },
      {
        meet() {
          if (isDown) throw new StoreError("read", "the backend is down");
        },
      },
    );
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/set", { cart: 1 });
    expect((await browser.post("/sudo")).text).toBe("false");
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada", cart: 1 });
  });

  test.each([true, false])(
    "rotate of what a cache before the store has answered leaves the old id dead, the bridge knowing it: %s",
    async (isKnown) => {
      await using site = await serve(version, routes, {
        wrap: (store) => ({
          ...store,
          get(id, done) {
            if (isKnown) store.get(id, () => done(null, { cart: 1 }));
            else done(null, { cart: 1 });
          },
        }),
      });
      const { token } = await site.sessions.create({ cart: 1 });
      const stored = await site.sessions.get(token);
      const browser = site.browser();
      browser.cookies.set("sessionId", encodeURIComponent(new version.cookie.Signer(SECRET).sign(token)));
      expect((await browser.post("/login")).text).toBe("true");
      await expect(site.sessions.get(token)).resolves.toBeNull();
      const { endsAt } = stored ?? {};
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { cart: 1 }, endsAt }]);
    },
  );

  test("a login of a visitor who had no session needs no idGenerator of the bridge's", async () => {
    await using site = await serve(version, routes, { handsOverGenerator: false });
    const browser = site.browser();
    expect((await browser.post("/login")).text).toBe("true");
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
  });

  test.each(["create", "update", "revoke"])(
    "race: log out everywhere while rotate is at its %s ends the session that goes on",
    async (step) => {
      let isArmed = false;
      await using site = await serve(version, routes, {
        async meet(call) {
          if (!isArmed || call !== step) return;
          isArmed = false;
          await site.sessions.revokeAllForUser("ada");
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      isArmed = true;
      await browser.post("/sudo");
      expect(isArmed).toBe(false);
      expect(JSON.parse((await browser.get("/")).text)).not.toHaveProperty("userId");
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    },
  );

  test.each(["create", "update", "revoke"])(
    "rotate whose %s fails is an error and leaves no two logins",
    async (step) => {
      let isDown = false;
      await using site = await serve(version, routes, {
        meet(call) {
          if (isDown && call === step) throw new StoreError("update", "the backend is down");
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      isDown = true;
      expect((await browser.post("/sudo")).status).toBe(500);
      isDown = false;
      expect((await site.sessions.listForUser("ada")).length).toBeLessThanOrEqual(1);
    },
  );

  test("rotate without a session is a TypeError", async () => {
    await using site = await serve(version, {
      ...routes,
      "/late": async (request, store) => {
        await request.session.destroy();
        return store.rotate(request).catch((error: unknown) => String(error));
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/late")).text).toMatch(/^"TypeError: there is no request\.session/);
  });

  test("rotate where the bridge's idGenerator was not handed over is a TypeError, and nobody is logged in", async () => {
    await using site = await serve(
      version,
      {
        ...routes,
        "/sudo": (request, store) => store.rotate(request).catch((error: unknown) => String(error)),
      },
      { handsOverGenerator: false },
    );
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/sudo")).text).toMatch(/^"TypeError: rotate needs .*idGenerator/);
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a session that is destroyed while it is rotated stays destroyed", async () => {
    const reached = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    let isArmed = false;
    await using site = await serve(
      version,
      {
        ...routes,
        "/both": async (request, store) => {
          isArmed = true;
          const rotating = store.rotate(request);
          await reached.promise;
          const destroying = request.session.destroy();
          opened.resolve();
          await destroying;
          return rotating;
        },
      },
      {
        async meet(call) {
          if (!isArmed || call !== "create") return;
          reached.resolve();
          await opened.promise;
        },
      },
    );
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/both")).text).toBe("false");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });
});
