import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Sessions } from "@tenure/core";
import { type KoaSessionStore, koaSessionStore } from "@tenure/koa-session";
import Koa, { type Context } from "koa";
import session, { type CreateSessionOptions } from "koa-session";
import session6 from "koa-session-6";
import { type SessionInHand, stepsOf } from "./application.ts";
import { type Framework, SECRET } from "./framework.ts";

type MakeSession = typeof session;

export const koaSession: Framework = framework("koa-session", session);
export const oldKoaSession: Framework = framework("koa-session 6", session6);

/** koa-session with a typical store, which shows that the scenarios can fail. */
export const koaSessionAlone: Framework = framework("koa-session and a Map", session, () => {
  const kept = new Map<string, string>();
  return {
    store: {
      get: async (key) => JSON.parse(kept.get(key) ?? "null") as unknown,
      async set(key, data) {
        kept.set(key, JSON.stringify(data));
      },
      async destroy(key) {
        kept.delete(key);
      },
    },
  };
});

function framework(
  name: string,
  makeSession: MakeSession,
  settingsFor: (sessions: Sessions) => CreateSessionOptions = storeAndGenerator,
): Framework {
  return {
    name,
    async serve(sessions, application, { rolling = false, maxAge } = {}) {
      const app = new Koa();
      app.silent = true;
      app.keys = [SECRET];
      const settings = settingsFor(sessions);
      app.use(makeSession({ ...settings, rolling, ...(maxAge === undefined ? {} : { maxAge }) }, app));
      app.use(async (ctx) => {
        const body = await text(ctx.req);
        const inRequest = inHand(ctx, settings.store as Partial<KoaSessionStore>);
        const answer = await application.run(inRequest, body ? stepsOf(JSON.parse(body)) : []);
        ctx.body = JSON.stringify(answer);
      });
      const server = app.listen(0, "127.0.0.1");
      await once(server, "listening");
      return {
        origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        store: settings.store,
        async close() {
          server.closeAllConnections();
          server.close();
          await once(server, "close");
        },
      };
    },
  };
}

function storeAndGenerator(sessions: Sessions): CreateSessionOptions {
  const store = koaSessionStore(sessions);
  return { store, genid: store.genid };
}

/** @param store without a bridge, it lacks the bridge's calls, and the framework's own replace them */
function inHand(ctx: Context, store: Partial<KoaSessionStore>): SessionInHand {
  return {
    get token() {
      return ctx.session.externalKey;
    },
    get user() {
      return store.userOf ? store.userOf(ctx) : ((ctx.session?.userId ?? null) as string | null);
    },
    entries: () => ctx.session.toJSON(),
    set(key, value) {
      ctx.session[key] = value;
    },
    delete(key) {
      delete ctx.session[key];
    },
    setMaxAge(maxAge) {
      ctx.session.maxAge = maxAge;
    },
    save: () => ctx.session.save(),
    regenerate: () => ctx.session.regenerate(),
    async destroy() {
      ctx.session = null;
    },
    async rotate() {
      await (store.rotate ? store.rotate(ctx) : ctx.session.regenerate());
    },
    async logIn(userId, options) {
      if (store.logIn) return (await store.logIn(ctx, userId, options)).refused;
      await ctx.session.regenerate();
      ctx.session.userId = userId;
      return null;
    },
    async logOut() {
      if (store.logOut) await store.logOut(ctx);
      else ctx.session = null;
    },
    async logOutEverywhere(options) {
      if (store.logOutEverywhere) return store.logOutEverywhere(ctx, options);
      ctx.session = null;
      return 0;
    },
  };
}
