import type { SessionStore } from "@tenure/core";
import type { ExpressSessionStore } from "@tenure/express-session";
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import session, { type SessionOptions, type Store } from "express-session";
import { fromCallback } from "./from-callback.ts";
import { type Gate, gate } from "./gate.ts";

declare module "express-session" {
  interface SessionData {
    userId?: unknown;
    passport?: { user: unknown };
    [key: string]: unknown;
  }
}

/** Long enough for a secret, so that nothing warns. */
export const SECRET = "a test's own secret, long enough that nobody could guess it";

/** Express 5, or 4 under another name. */
export type MakeExpress = () => Express;

export interface Application {
  readonly app: Express;
  /** For the routes of one test. */
  readonly routes: Express;
  /** The errors that reached Express's error handler, including those after the response was sent. */
  readonly errors: unknown[];
}

/**
 * An application with a login and slow requests. `/slow` waits at the gate named by `gate` until
 * `/gate/open`, and then takes the steps in `do`, in order: `set:key` (writes the key), `delete:key`, `save`
 * (and waits for it), `touch`, `reload`, `regenerate`, `rotate`, `destroy`, `maxAge:ms`, `login:user` (writes
 * the user into the data), `logIn:user` (calls the bridge), `carry` (regenerates and keeps all data), `drop`
 * (`req.session = null`).
 */
export function application(
  store: Store,
  options: Partial<SessionOptions> = {},
  makeExpress: MakeExpress = express,
): Application {
  const gates = new Map<string, Gate>();
  const errors: unknown[] = [];
  const app = makeExpress();
  app.get("/gate/reached", async (req, res) => {
    await gateOf(queryOf(req).get("name") ?? "").reached;
    res.end();
  });
  app.post("/gate/open", (req, res) => {
    gateOf(queryOf(req).get("name") ?? "").open();
    res.end();
  });
  app.use(session({ secret: SECRET, resave: false, saveUninitialized: false, store, ...options }));
  app.get("/me", (req, res) => {
    const { cookie: _, ...data } = req.session;
    res.json(data);
  });
  app.post("/login", (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.userId = req.query["user"];
      res.end("in");
    });
  });
  app.post("/logout", (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.end("out")));
  });
  app.all("/slow", async (req, res, next) => {
    try {
      await slow(req, res);
    } catch (error) {
      next(error);
    }
  });
  const routes = makeExpress();
  app.use(routes);
  app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
    errors.push(error);
    if (res.headersSent) res.destroy();
    else res.status(500).end(String(error));
  });
  return { app, routes, errors };

  function gateOf(name: string): Gate {
    const known = gates.get(name) ?? gate();
    gates.set(name, known);
    return known;
  }

  async function slow(req: Request, res: Response): Promise<void> {
    const query = queryOf(req);
    const name = query.get("gate");
    if (name !== null) await gateOf(name).wait();
    const steps = query.get("do")?.split(",") ?? [];
    for (const step of steps) await perform(req, step, query.get("as") ?? "someone");
    res.end("done");
  }
}

/** The same in every version of Express. */
function queryOf(req: Request): URLSearchParams {
  return new URL(req.url, "http://localhost").searchParams;
}

async function perform(req: Request, step: string, author: string): Promise<void> {
  const [verb = "", argument = ""] = step.split(":");
  const store = req.sessionStore as unknown as ExpressSessionStore;
  if (verb === "set") req.session[argument] = `${argument} of ${author}`;
  if (verb === "delete") delete req.session[argument];
  if (verb === "login") req.session.userId = argument;
  if (verb === "maxAge") Object.assign(req.session.cookie, { maxAge: maxAgeOf(argument) });
  if (verb === "touch")
    await fromCallback((done) => req.sessionStore.touch?.(req.sessionID, req.session, done));
  if (verb === "save") await fromCallback((done) => req.session.save(done));
  if (verb === "reload") await fromCallback((done) => req.session.reload(done));
  if (verb === "regenerate") await fromCallback((done) => req.session.regenerate(done));
  if (verb === "rotate") await store.rotate(req);
  if (verb === "logIn") await store.logIn(req, argument);
  if (verb === "drop") Object.assign(req, { session: null });
  if (verb === "carry") {
    const { cookie: _, ...data } = req.session;
    await fromCallback((done) => req.session.regenerate(done));
    Object.assign(req.session, data);
  }
  if (verb === "destroy") await fromCallback((done) => req.session.destroy(done));
}

/** Includes values that the type forbids and applications use. */
function maxAgeOf(argument: string): unknown {
  if (argument === "none") return undefined;
  return argument === "null" || argument === "false" ? JSON.parse(argument) : Number(argument);
}

/** Returns the users of the live sessions in a store, sorted. `nobody`: an anonymous session. */
export async function aliveIn(store: SessionStore): Promise<string[]> {
  const found: string[] = [];
  for await (const record of store.scan()) found.push(record.userId ?? "nobody");
  return found.toSorted();
}
