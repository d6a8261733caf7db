import { memoryStore, Sessions } from "@tenure/core";
import { visitor } from "@tenure/cookie-client";
import { describe, expect, test } from "vitest";
import { fastifySessionStore } from "../src/index.ts";
import { addRoutes, dataOf, type Routes, SECRET } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": dataOf,
  "/login": async (request) => {
    await request.session.regenerate();
    dataOf(request)["userId"] = request.url.split("/")[1];
  },
  "/logout": (request) => request.session.destroy(),
};

describe.each(versions)("on $name", ({ fastify, cookie, session }) => {
  test("two registrations under different prefixes share one store and have separate sessions", async () => {
    const app = fastify({ forceCloseConnections: true });
    const sessions = new Sessions({ store: memoryStore() });
    const store = fastifySessionStore(sessions);
    for (const name of ["shop", "admin"]) {
      await app.register(
        async (part) => {
          await part.register(cookie);
          await part.register(session, {
            store,
            idGenerator: store.idGenerator,
            secret: SECRET,
            cookieName: name,
            saveUninitialized: false,
            cookie: { secure: false, path: `/${name}` },
          });
          addRoutes(part, store, routes);
        },
        { prefix: `/${name}` },
      );
    }
    const browser = visitor(await app.listen({ host: "127.0.0.1", port: 0 }));
    await browser.post("/shop/login");
    await browser.post("/admin/login");
    expect(JSON.parse((await browser.get("/shop/")).text)).toMatchObject({ userId: "shop" });
    expect(JSON.parse((await browser.get("/admin/")).text)).toMatchObject({ userId: "admin" });
    await browser.post("/admin/logout");
    expect(JSON.parse((await browser.get("/admin/")).text)).not.toHaveProperty("userId");
    expect(JSON.parse((await browser.get("/shop/")).text)).toMatchObject({ userId: "shop" });
    await app.close();
  });
});
