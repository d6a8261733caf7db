import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { randomBytes } from "node:crypto";
import express, { type Express } from "express";
import session from "express-session";

declare module "express-session" {
  interface SessionData {
    userId?: string;
  }
}

export interface TrackOptions {
  readonly store: session.Store;
  readonly person: string;
  /** Resolves to how many sessions it ended. */
  readonly logOutEverywhere: () => Promise<number>;
}

/**
 * The application of one contestant, which differs only in its store, and browsers that visit it over HTTP.
 */
export interface Track extends AsyncDisposable {
  browser(): Browser;
  /** Resolves when the slow request has loaded its session. */
  readonly slowHasBegun: Promise<void>;
  /** Lets the slow request change its session and respond. */
  finishSlow(): void;
}

/** Keeps its cookie, as browsers do. Its calls resolve to response bodies. */
export interface Browser {
  get(path: string): Promise<string>;
  post(path: string): Promise<string>;
}

export async function openTrack(options: TrackOptions): Promise<Track> {
  const began = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const app = trackApp(options, async () => {
    began.resolve();
    await finish.promise;
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    browser: () => browser(url),
    slowHasBegun: began.promise,
    finishSlow: finish.resolve,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function trackApp({ store, person, logOutEverywhere }: TrackOptions, work: () => Promise<void>): Express {
  const app = express();
  app.use(
    session({
      name: "race",
      secret: randomBytes(32).toString("base64url"),
      store,
      resave: false,
      saveUninitialized: false,
      cookie: { httpOnly: true, sameSite: "lax" },
    }),
  );
  app.post("/sign-in", (request, response) => {
    request.session.userId = person;
    response.end();
  });
  app.post("/slow", async (request, response) => {
    await work();
    request.session.note = "written by the slow request";
    response.end();
  });
  app.post("/log-out-everywhere", async (_request, response) => {
    response.end(String(await logOutEverywhere()));
  });
  app.get("/who", (request, response) => {
    response.end(request.session.userId ?? "");
  });
  return app;
}

function browser(url: string): Browser {
  let cookie = "";
  const ask = async (path: string, method: "GET" | "POST"): Promise<string> => {
    const response = await fetch(url + path, { method, headers: { cookie } });
    if (!response.ok) throw new Error(`The race stopped: ${method} ${path} had status ${response.status}`);
    const [given] = response.headers.getSetCookie();
    if (given !== undefined) cookie = given.slice(0, given.indexOf(";"));
    return response.text();
  };
  return { get: (path) => ask(path, "GET"), post: (path) => ask(path, "POST") };
}
