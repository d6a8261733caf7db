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

/** On a store as they are usually written, to show that the scenarios can fail. */
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
  makeStore: (sessions: Sessions) => Bridge = storeAndGenerator,
): Framework {
  return {
    name,
    async serve(sessions, application, { rolling = false, maxAge } = {}) {
      const app = new Koa();
      app.silent = true;
      app.keys = [SECRET];
      const { rotate, ...bridge } = makeStore(sessions);
      app.use(makeSession({ ...bridge, rolling, ...(maxAge === undefined ? {} : { maxAge }) }, app));
      app.use(async (ctx) => {
        const body = await text(ctx.req);
        const answer = await application.run(inHand(ctx, rotate), body ? stepsOf(JSON.parse(body)) : []);
        ctx.body = JSON.stringify(answer);
      });
      const server = app.listen(0, "127.0.0.1");
      await once(server, "listening");
      return {
        origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        async close() {
          server.closeAllConnections();
          server.close();
          await once(server, "close");
        },
      };
    },
  };
}

/** koa-session has no rotation of its own. */
type Bridge = CreateSessionOptions & Partial<Pick<KoaSessionStore, "rotate">>;

function storeAndGenerator(sessions: Sessions): Bridge {
  const store = koaSessionStore(sessions);
  return { store, genid: store.genid, rotate: (ctx) => store.rotate(ctx) };
}

function inHand(ctx: Context, rotate: Bridge["rotate"]): SessionInHand {
  return {
    get token() {
      return ctx.session.externalKey;
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
    async rotate() {
      if (!rotate) await ctx.session.regenerate();
      else if (!(await rotate(ctx))) throw new Error("the session died during the request");
    },
    async destroy() {
      ctx.session = null;
    },
  };
}
