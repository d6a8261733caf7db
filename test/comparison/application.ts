import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import session, { type Store } from "express-session";
import { expect, vi } from "vitest";
import { IDLE } from "./peers.ts";

/** A browser and its application. The test decides when slow requests continue. */
export interface Application extends AsyncDisposable {
  get(path: string): Promise<string>;
  /** Resolves once `count` requests for `/slow/…` have loaded their session. */
  waiting(count: number): Promise<void>;
  /** Lets these requests continue. */
  goOn(): void;
}

/**
 * Starts express-session on a store, with a page that waits until the test lets it continue, and one browser.
 */
export async function application(store: Store): Promise<Application> {
  const gate = Promise.withResolvers<void>();
  let loaded = 0;
  const app = express();
  app.use(
    session({
      store,
      secret: "a secret of a test, as long as secrets should be",
      resave: false,
      saveUninitialized: false,
      rolling: true,
      cookie: { maxAge: IDLE },
    }),
  );
  app.get("/login", (req, res) => {
    Object.assign(req.session, { userId: "ada" });
    res.send("hello");
  });
  app.get("/logout", (req, res, next) => {
    req.session.destroy((error: unknown) => (error ? next(error) : res.send("bye")));
  });
  app.get("/slow/:key", async (req, res) => {
    loaded += 1;
    await gate.promise;
    Object.assign(req.session, { [req.params.key]: true });
    res.send("done");
  });
  app.get("/", (req, res) => {
    const { cookie: _, ...data } = req.session;
    res.send(Object.keys(data).toSorted().join());
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let cookie = "";
  return {
    async get(path) {
      const response = await fetch(origin + path, { headers: { cookie } });
      // Keep the first cookie, as a browser that was logged out may do.
      cookie ||= response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
      return response.text();
    },
    async waiting(count) {
      await vi.waitFor(() => expect(loaded).toBe(count), { interval: 5, timeout: 30_000 });
    },
    goOn: () => gate.resolve(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}
