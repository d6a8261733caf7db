import type { RequestListener } from "node:http";
import { text } from "node:stream/consumers";
import type { Sessions } from "@tenure/core";
import { koaSessionStore, secureCookie } from "@tenure/koa-session";
import Koa, { type Context } from "koa";
import session from "koa-session";
import { COOKIE, hasCookie } from "../cookie.ts";
import type { DeviceSession } from "../device-session.ts";
import { type Logins, loginsOf } from "../logins.ts";
import type { Reply, Site, Visit } from "../site.ts";

export function koaApp(sessions: Sessions<DeviceSession>, site: Site, secret: string): RequestListener {
  const app = new Koa();
  app.keys = [secret];
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      send(ctx, site.fail(error));
    }
  });
  const store = koaSessionStore(sessions);
  app.use(session({ store, genid: store.genid, ...secureCookie(sessions, COOKIE) }, app));
  app.use(async (ctx) => {
    const form = await text(ctx.req);
    send(ctx, await site.respond(visitOf(ctx, form, loginsOf(store, ctx))));
  });
  const listener = app.callback();
  return (request, response) => void listener(request, response);
}

function visitOf(ctx: Context, form: string, logins: Logins): Visit {
  return {
    method: ctx.method,
    url: ctx.url,
    userAgent: ctx.get("user-agent"),
    address: ctx.ip,
    form: new URLSearchParams(form),
    hasCookie: hasCookie(ctx.get("cookie")),
    // A login changes both.
    get token() {
      return ctx.session?.externalKey as string | undefined;
    },
    get session() {
      return ctx.session as DeviceSession;
    },
    logins,
  };
}

function send(ctx: Context, reply: Reply): void {
  if ("location" in reply) {
    ctx.redirect(reply.location);
    ctx.status = 303;
    return;
  }
  if (reply.forgetsCookie) ctx.cookies.set(COOKIE.name, null);
  if (reply.challenge !== undefined) ctx.set("WWW-Authenticate", reply.challenge);
  ctx.status = reply.status;
  ctx.type = "html";
  ctx.body = reply.page.markup;
}
