import { createServer } from "node:http";
import express from "express";
import session, { type Store } from "express-session";
import { expect, vi } from "vitest";
import { listen } from "../bridges/listen.ts";

/** An application with one browser. Requests for `/slow/…` wait until the test lets them continue. */
export interface Application extends AsyncDisposable {
  get(path: string): Promise<string>;
  /** Resolves once `count` slow requests have loaded their session. */
  waitForSlowRequests(count: number): Promise<void>;
  continueSlowRequests(): void;
}

/**
 * Starts an application with express-session on a store.
 *
 * @param idle the idle timeout in milliseconds
 */
export async function startApplication(store: Store, idle: number): Promise<Application> {
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
      cookie: { maxAge: idle },
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
  const { origin, close } = await listen(createServer(app));
  let cookie = "";
  return {
    async get(path) {
      const response = await fetch(origin + path, { headers: { cookie } });
      // It keeps its first cookie, as a browser that was logged out may do.
      cookie ||= response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
      return response.text();
    },
    async waitForSlowRequests(count) {
      await vi.waitFor(() => expect(loaded).toBe(count), { interval: 5, timeout: 30_000 });
    },
    continueSlowRequests: () => gate.resolve(),
    [Symbol.asyncDispose]: close,
  };
}
