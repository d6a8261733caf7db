import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionsOptions, type SessionStore } from "@tenure/core";
import { watched } from "@tenure/store-wrappers/watched";
import Koa, { type Context } from "koa";
import type { CreateSessionOptions } from "koa-session";
import { type KoaSessionStore, koaSessionStore, type KoaSessionStoreOptions } from "../src/index.ts";
import type { Version } from "./versions.ts";

const SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/** A served application. */
export interface Site extends AsyncDisposable {
  readonly app: Koa;
  readonly sessions: Sessions;
  readonly store: KoaSessionStore;
  /** The calls of the store so far, by the method's name. */
  readonly calls: string[];
  browser(): Visitor;
}

export interface SiteOptions {
  readonly plugin?:
    | CreateSessionOptions
    | ((store: KoaSessionStore, sessions: Sessions) => CreateSessionOptions);
  readonly bridge?: KoaSessionStoreOptions;
  readonly sessions?: Omit<SessionsOptions, "store">;
  readonly store?: SessionStore;
  /** Called with the name of each call of the store, before the call is made. */
  readonly beforeCall?: (call: string) => unknown;
  readonly keys?: string[];
  /** Routes that run before koa-session. */
  readonly early?: Routes;
}

/** Handlers by path. The response is the result as JSON. */
export type Routes = Readonly<
  Record<string, (ctx: Context, body: Record<string, unknown>, store: KoaSessionStore) => unknown>
>;

/** Serves an application with koa-session, by default on a memory store. */
export async function serve(version: Version, routes: Routes, options: SiteOptions = {}): Promise<Site> {
  const { store: backend = memoryStore(), plugin = {}, keys = [SECRET] } = options;
  const { store: watching, calls } = watched(backend, options.beforeCall);
  const sessions = new Sessions({ store: watching, ...options.sessions });
  const store = koaSessionStore(sessions, options.bridge);
  const app = new Koa();
  app.silent = true;
  app.keys = keys;
  const given = typeof plugin === "function" ? plugin(store, sessions) : { genid: store.genid, ...plugin };
  app.use(async (ctx, next) => {
    const early = options.early?.[ctx.path];
    if (early) ctx.body = JSON.stringify((await early(ctx, {}, store)) ?? null);
    else await next();
  });
  app.use(version.makeSession("ContextStore" in given ? given : { store, ...given }, app));
  app.use(async (ctx) => {
    const body = await text(ctx.req);
    const data = body ? (JSON.parse(body) as Record<string, unknown>) : {};
    const result = await routes[ctx.path]?.(ctx, data, store);
    ctx.body = JSON.stringify(result ?? null);
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    app,
    sessions,
    store,
    calls,
    browser: () => visitor(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Resolves to the body of a response. */
export async function json(response: Promise<{ readonly text: string }>): Promise<unknown> {
  return JSON.parse((await response).text);
}
