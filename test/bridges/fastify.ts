import { createRequire } from "node:module";
import fastifyCookie from "@fastify/cookie";
import fastifyCookie9 from "@fastify/cookie-9";
import sessionPlugin, { type FastifySessionOptions } from "@fastify/session";
import type { Sessions } from "@tenure/core";
import { type FastifySessionStore, fastifySessionStore } from "@tenure/fastify-session";
import fastify, { type FastifyRequest } from "fastify";
import fastify4 from "fastify4";
import { type SessionAdapter, stepsOf } from "./application.ts";
import { type Framework, SECRET } from "./framework.ts";

type SessionPlugin = typeof sessionPlugin;
// Required and not imported, because each version augments the types of Fastify for the whole compilation,
// and the versions contradict each other.
const require = createRequire(import.meta.url);
const session11_0 = require("@fastify/session-11.0") as SessionPlugin;
const session10 = require("@fastify/session-10") as SessionPlugin;
const session10_0 = require("@fastify/session-10.0") as SessionPlugin;

const withFastify4 = [fastify4, fastifyCookie9] as unknown as readonly [typeof fastify, typeof fastifyCookie];
const withFastify5 = [fastify, fastifyCookie] as const;

export const fastifySession: Framework = framework("@fastify/session", withFastify5, sessionPlugin);
/** Older versions that the bridge supports. In some of them, `regenerate` does not end the old session. */
export const oldFastifySessions: readonly Framework[] = [
  framework("@fastify/session 11.0", withFastify5, session11_0),
  framework("@fastify/session 10, Fastify 4", withFastify4, session10),
  // Before 10.5.0 and without `rolling`, a session whose cookie has no maxAge is not saved when it changes.
  framework("@fastify/session 10.0, Fastify 4", withFastify4, session10_0, {
    maxAge: 86_400_000,
  }),
];

/** @fastify/session with its own store, on which scenarios must fail. */
export const fastifySessionWithoutTenure: Framework = framework(
  "@fastify/session's own store",
  withFastify5,
  sessionPlugin,
  {},
  () => ({}),
);

function framework(
  name: string,
  [makeApp, cookies]: readonly [typeof fastify, typeof fastifyCookie],
  session: SessionPlugin,
  defaults: { readonly maxAge?: number } = {},
  makeStore: (sessions: Sessions) => BridgeOptions = storeAndGenerator,
): Framework {
  return {
    name,
    async serve(sessions, application, { rolling = false, maxAge } = {}) {
      const app = makeApp({ forceCloseConnections: true });
      const bridge = makeStore(sessions);
      await app.register(cookies);
      await app.register(session, {
        ...bridge,
        secret: SECRET,
        saveUninitialized: false,
        rolling,
        cookie: { secure: false, ...(maxAge === undefined ? defaults : { maxAge }) },
      });
      app.all("/*", async (request, reply) => {
        await reply.send(
          JSON.stringify(await application.run(sessionAdapter(request, bridge), stepsOf(request.body))),
        );
        return reply;
      });
      const origin = await app.listen({ host: "127.0.0.1", port: 0 });
      return { origin, store: bridge.store, close: () => app.close() };
    },
  };
}

/** Without Tenure, both are absent. */
type BridgeOptions = Pick<FastifySessionOptions, "idGenerator"> & { readonly store?: FastifySessionStore };

function storeAndGenerator(sessions: Sessions): BridgeOptions {
  const store = fastifySessionStore(sessions);
  return { store, idGenerator: store.idGenerator };
}

/** @param store absent: without Tenure, the framework's own calls replace those of the bridge */
function sessionAdapter(request: FastifyRequest, { store }: BridgeOptions): SessionAdapter {
  const data = (): Record<string, unknown> => request.session as unknown as Record<string, unknown>;
  return {
    get token() {
      return request.session.sessionId;
    },
    get user() {
      return store ? store.userOf(request) : ((data()["userId"] ?? null) as string | null);
    },
    entries() {
      const { cookie: _, ...entries } = data();
      return entries;
    },
    set(key, value) {
      data()[key] = value;
    },
    delete(key) {
      delete data()[key];
    },
    setMaxAge(maxAge) {
      request.session.cookie.maxAge = maxAge;
    },
    save: () => request.session.save(),
    regenerate: () => request.session.regenerate(),
    reload: () => request.session.reload(),
    destroy: () => request.session.destroy(),
    async rotate() {
      await (store ? store.rotate(request) : request.session.regenerate());
    },
    async logIn(userId, options) {
      if (store) return (await store.logIn(request, userId, options)).refused;
      await request.session.regenerate();
      data()["userId"] = userId;
      return null;
    },
    logOut: () => (store ? store.logOut(request) : request.session.destroy()),
    async logOutEverywhere(options) {
      if (store) return store.logOutEverywhere(request, options);
      await request.session.destroy();
      return 0;
    },
  };
}
