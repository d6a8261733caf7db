import { createServer } from "node:http";
import type { Sessions } from "@tenure/core";
import { type KoaSessionStore, koaSessionStore } from "@tenure/koa-session";
import Koa, { type Context } from "koa";
import session, { type CreateSessionOptions } from "koa-session";
import session6 from "koa-session-6";
import { readSteps, type SessionAdapter } from "./application.ts";
import { type Framework, SECRET } from "./framework.ts";
import { listen } from "./listen.ts";

type MakeSession = typeof session;

export const koaSession: Framework = framework("koa-session", session);
export const oldKoaSession: Framework = framework("koa-session 6", session6);

/** koa-session with a typical store, on which scenarios must fail. */
export const koaSessionWithoutTenure: Framework = framework("koa-session and a Map", session, () => {
  const stored = new Map<string, string>();
  return {
    store: {
      get: async (key) => JSON.parse(stored.get(key) ?? "null") as unknown,
      async set(key, data) {
        stored.set(key, JSON.stringify(data));
      },
      async destroy(key) {
        stored.delete(key);
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
        const adapter = sessionAdapter(ctx, settings.store as Partial<KoaSessionStore>);
        ctx.body = JSON.stringify(await application.run(adapter, await readSteps(ctx.req)));
      });
      return { ...(await listen(createServer(app.callback()))), store: settings.store };
    },
  };
}

function storeAndGenerator(sessions: Sessions): CreateSessionOptions {
  const store = koaSessionStore(sessions);
  return { store, genid: store.genid };
}

/** @param store without Tenure, it lacks the bridge's calls, and the framework's own calls replace them */
function sessionAdapter(ctx: Context, store: Partial<KoaSessionStore>): SessionAdapter {
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
