import type { FastifySessionOptions } from "@fastify/session";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionsOptions, type SessionStore } from "@tenure/core";
import { watched } from "@tenure/store-wrappers/watched";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import {
  type FastifySessionStore,
  fastifySessionStore,
  type FastifySessionStoreOptions,
} from "../src/index.ts";
import type { Version } from "./versions.ts";

export const SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/** A running application whose store's calls are recorded. */
export interface Site extends AsyncDisposable {
  readonly sessions: Sessions;
  /** The store's calls so far, by the method's name. */
  readonly calls: string[];
  /** Returns a new browser, with this token in its cookie if it is given. */
  browser(token?: string, secret?: string): Visitor;
}

export interface SiteOptions {
  readonly plugin?: Partial<FastifySessionOptions>;
  readonly bridge?: FastifySessionStoreOptions;
  readonly sessions?: Omit<SessionsOptions, "store">;
  readonly store?: SessionStore;
  /** Called before each call of the store, with its name. The call waits for it, and fails if it fails. */
  readonly beforeCall?: (call: string) => unknown;
  /** Whether the plugin gets the store's `idGenerator`. Default true. */
  readonly hasIdGenerator?: boolean;
  /** Puts a store, such as a cache, between the framework and the bridge. */
  readonly wrap?: (store: FastifySessionStore) => FastifySessionStore;
  readonly fastify?: { readonly trustProxy?: boolean };
}

/** Handlers by path. Each returns the response, which is sent as JSON. */
export type Routes = Readonly<
  Record<string, (request: FastifyRequest, store: FastifySessionStore, reply: FastifyReply) => unknown>
>;

export async function serve(version: Version, routes: Routes, options: SiteOptions = {}): Promise<Site> {
  const app = version.fastify({ forceCloseConnections: true, ...options.fastify });
  const { store: backend = memoryStore(), hasIdGenerator = true, wrap } = options;
  const { store: watchedStore, calls } = watched(backend, options.beforeCall);
  const sessions = new Sessions({ store: watchedStore, ...options.sessions });
  const store = fastifySessionStore(sessions, options.bridge);
  await app.register(version.cookie);
  await app.register(version.session, {
    store: wrap ? wrap(store) : store,
    secret: SECRET,
    saveUninitialized: false,
    cookie: { secure: false },
    ...(hasIdGenerator ? { idGenerator: store.idGenerator } : {}),
    ...options.plugin,
  });
  addRoutes(app, store, routes);
  const origin = await app.listen({ host: "127.0.0.1", port: 0 });
  return {
    sessions,
    calls,
    browser: (token, secret = SECRET) => {
      const browser = visitor(origin);
      if (token !== undefined) browser.cookies.set("sessionId", signed(version, token, secret));
      return browser;
    },
    [Symbol.asyncDispose]: () => app.close(),
  };
}

function signed({ cookie }: Version, token: string, secret: string): string {
  return encodeURIComponent(new cookie.Signer(secret).sign(token));
}

export function addRoutes(app: FastifyInstance, store: FastifySessionStore, routes: Routes): void {
  for (const [path, route] of Object.entries(routes)) {
    app.all(path, async (request, reply) =>
      reply.send(JSON.stringify((await route(request, store, reply)) ?? null)),
    );
  }
}

/** Returns `request.session` without the framework's type. */
export function dataOf(request: FastifyRequest): Record<string, unknown> {
  return request.session;
}
