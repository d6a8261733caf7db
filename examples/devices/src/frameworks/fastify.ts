import type { RequestListener } from "node:http";
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import type { Sessions } from "@tenure/core";
import { fastifySessionStore, secureCookie } from "@tenure/fastify-session";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { COOKIE, hasCookie } from "../cookie.ts";
import type { DeviceSession } from "../device-session.ts";
import { type Logins, loginsOf } from "../logins.ts";
import type { Reply, Site, Visit } from "../site.ts";

declare module "fastify" {
  interface Session extends DeviceSession {}
}

export async function fastifyApp(
  sessions: Sessions<DeviceSession>,
  site: Site,
  secret: string,
): Promise<RequestListener> {
  const app = fastify();
  const store = fastifySessionStore(sessions);
  await app.register(cookie);
  const options = { secret, saveUninitialized: false, ...secureCookie(sessions, COOKIE) };
  await app.register(session, { ...options, store, idGenerator: store.idGenerator });

  const type = "application/x-www-form-urlencoded";
  app.addContentTypeParser(type, { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.all("/*", async (request, reply) =>
    send(reply, await site.respond(visitOf(request, loginsOf(store, request)))),
  );
  app.setErrorHandler((error, _request, reply) => send(reply, site.fail(error)));
  await app.ready();
  return (request, response) => app.routing(request, response);
}

function visitOf(request: FastifyRequest, logins: Logins): Visit {
  return {
    method: request.method,
    url: request.url,
    userAgent: request.headers["user-agent"],
    address: request.ip,
    form: new URLSearchParams(typeof request.body === "string" ? request.body : ""),
    hasCookie: hasCookie(request.headers.cookie),
    // A login changes both.
    get token() {
      return request.session.sessionId;
    },
    get session() {
      return request.session;
    },
    logins,
  };
}

function send(response: FastifyReply, reply: Reply): FastifyReply {
  if ("location" in reply) return response.redirect(reply.location, 303);
  if (reply.forgetsCookie) response.clearCookie(COOKIE.name, { path: "/" });
  if (reply.challenge !== undefined) response.header("WWW-Authenticate", reply.challenge);
  return response.code(reply.status).type("text/html; charset=utf-8").send(reply.page.markup);
}
