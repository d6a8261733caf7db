import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type Answer, visitor, type Visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, StoreError } from "@tenure/core";
import {
  Beginnings,
  type LoginSeen,
  type LogoutSeen,
  type Operations,
  randomHistories,
  type SessionSeen,
} from "@tenure/watched-store/random-history";
import Koa, { type Context } from "koa";
import { expect, test } from "vitest";
import { koaSessionStore } from "../src/index.ts";
import { versions } from "./versions.ts";

test(
  "in random histories nobody who was logged out is seen logged in without a later login, and a login after revoke-all succeeds",
  { timeout: 60 * 60_000 },
  async () => {
    const played = randomHistories({
      newStore: memoryStore,
      failure: (call) => new StoreError(call as "read", "down"),
      async open(store, seed) {
        const sessions = new Sessions({ store, touchEvery: "1ms" });
        const server = createServer(site(sessions, seed)).listen(0, "127.0.0.1");
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        return {
          operations: operations(sessions),
          newBrowser: () => visitor(`http://127.0.0.1:${port}`),
          close() {
            server.closeAllConnections();
            server.close();
          },
        };
      },
    });
    await expect(played).resolves.toBeUndefined();
  },
);

const beginnings = new Beginnings();

function operations(sessions: Sessions): Operations<Visitor> {
  const post = (browser: Visitor, path: string, begun: () => void): Promise<Answer> =>
    browser.post(path, {}, beginnings.sent(begun));
  const login = (way: string) => async (browser: Visitor, user: string, begun: () => void) => {
    const answer = await post(browser, `/${way}?user=${user}`, begun);
    if (answer.status !== 200) return undefined;
    const seen = JSON.parse(answer.text) as LoginSeen;
    // After koa-session's own regenerate ctx.session names the old key.
    return { ...seen, id: sessions.idOf(keySetBy(answer)) ?? seen.id };
  };
  const seen = (way: string) => async (browser: Visitor, _user: string, begun: () => void) => {
    const { status, text } = await post(browser, `/${way}`, begun);
    return status === 200 ? (JSON.parse(text) as LogoutSeen) : undefined;
  };
  return {
    logIn: {
      logIn: login("log-in"),
      "logIn, kept": login("log-in-kept"),
      regenerate: login("regenerate-login"),
      "log out, then logIn": login("log-out-and-in"),
    },
    logOut: { null: seen("null"), logOut: seen("log-out"), passport: seen("passport-logout") },
    everywhere: {
      administrator: (_browser, user) =>
        sessions.revokeAllForUser(user).then(
          () => ({ user }),
          () => undefined,
        ),
      logOutEverywhere: seen("everywhere"),
    },
    others: {
      save: seen("save"),
      rotate: seen("rotate"),
      "rotate, then save": seen("rotate-save"),
      "regenerate, carrying the user over": seen("carry"),
      "null, then a new session": seen("null-and-new"),
    },
    look: seen("look"),
  };
}

function keySetBy({ setCookies }: Answer): string {
  const line = setCookies.findLast((one) => one.startsWith("koa.sess=")) ?? "";
  return /^koa\.sess=([^;]*)/.exec(line)?.[1] ?? "";
}

function site(sessions: Sessions, seed: number): ReturnType<Koa["callback"]> {
  const store = koaSessionStore(sessions);
  const app = new Koa();
  app.silent = true;
  app.keys = ["0123456789abcdef0123456789abcdef"];
  app.use(async ({ headers }, next) => {
    beginnings.arrived(headers);
    await next();
  });
  app.use(
    versions[seed % versions.length]!.makeSession({ store, genid: store.genid, maxAge: "session" }, app),
  );
  const seen = (ctx: Context): SessionSeen => ({
    id: sessions.idOf(ctx.session?.externalKey ?? ""),
    user: store.userOf(ctx),
  });
  const logIn = async (ctx: Context, keep: readonly string[]): Promise<object> => {
    const user = String(ctx.query["user"]);
    if (ctx.session) ctx.session.visits = 1;
    const { refused } = await store.logIn(ctx, user, { keep });
    return { ...seen(ctx), outcome: refused ?? (store.userOf(ctx) === user ? "logged-in" : "unknown") };
  };
  const routes: Readonly<Record<string, (ctx: Context) => Promise<object> | object>> = {
    "/log-in": (ctx) => logIn(ctx, []),
    "/log-in-kept": (ctx) => logIn(ctx, ["visits", "userId"]),
    "/log-out-and-in": async (ctx) => {
      await store.logOut(ctx);
      return logIn(ctx, []);
    },
    "/regenerate-login": async (ctx) => {
      await ctx.session.regenerate();
      ctx.session.userId = ctx.query["user"];
      await ctx.session.save();
      return { ...seen(ctx), outcome: "unknown" };
    },
    "/null": (ctx) => {
      const before = seen(ctx);
      ctx.session = null;
      return before;
    },
    "/log-out": async (ctx) => {
      const before = seen(ctx);
      await store.logOut(ctx);
      return before;
    },
    "/passport-logout": async (ctx) => {
      const before = { ...seen(ctx), goesOn: true };
      if (ctx.session.userId === undefined) return { id: null, user: null };
      delete ctx.session.userId;
      await ctx.session.save();
      await ctx.session.regenerate();
      return before;
    },
    "/everywhere": async (ctx) => {
      const before = seen(ctx);
      await store.logOutEverywhere(ctx);
      return before;
    },
    "/save": (ctx) => {
      ctx.session.visits = Number(ctx.session.visits ?? 0) + 1;
      return seen(ctx);
    },
    "/rotate": async (ctx) => ({ result: await store.rotate(ctx) }),
    "/rotate-save": async (ctx) => {
      await store.rotate(ctx);
      ctx.session.rotated = true;
      await ctx.session.save();
      return seen(ctx);
    },
    "/carry": async (ctx) => {
      await ctx.session.regenerate();
      ctx.session.carried = true;
      return seen(ctx);
    },
    "/null-and-new": async (ctx) => {
      ctx.session = null;
      ctx.session = { flash: true };
      await ctx.session.regenerate();
      return {};
    },
    "/look": seen,
  };
  app.use(async (ctx) => {
    ctx.body = JSON.stringify(await routes[ctx.path]!(ctx));
  });
  return app.callback();
}
