import type { RequestListener } from "node:http";
import type { Sessions } from "@tenure/core";
import { expressSessionStore, secureCookie } from "@tenure/express-session";
import express, { type ErrorRequestHandler, type Request, type Response } from "express";
import session from "express-session";
import { COOKIE, hasCookie } from "../cookie.ts";
import type { DeviceSession } from "../device-session.ts";
import { type Logins, loginsOf } from "../logins.ts";
import type { Reply, Site, Visit } from "../site.ts";

export function expressApp(sessions: Sessions<DeviceSession>, site: Site, secret: string): RequestListener {
  const app = express();
  app.disable("x-powered-by");
  const store = expressSessionStore(sessions);
  const options = { secret, resave: false, saveUninitialized: false, ...secureCookie(sessions, COOKIE) };
  app.use(session({ ...options, store }));

  app.use(express.text({ type: "application/x-www-form-urlencoded" }));
  app.use(async (request, response) => {
    const reply = await site.respond(visitOf(request, loginsOf(store, request)));
    // express-session saves while it responds, so the browser could follow a redirect before the save.
    if (store.userOf(request) !== null) await saved(request);
    send(response, reply);
  });

  const onError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
    if (response.headersSent) next(error);
    else send(response, site.fail(error));
  };
  app.use(onError);
  return app;
}

function visitOf(request: Request, logins: Logins): Visit {
  return {
    method: request.method,
    url: request.url,
    userAgent: request.headers["user-agent"],
    address: request.ip,
    form: new URLSearchParams(typeof request.body === "string" ? request.body : ""),
    hasCookie: hasCookie(request.headers.cookie),
    // A login changes both.
    get token() {
      return request.sessionID;
    },
    get session() {
      return request.session;
    },
    logins,
  };
}

function saved(request: Request): Promise<void> {
  return new Promise((resolve, reject) => {
    request.session.save((error: unknown) => (error ? reject(error) : resolve()));
  });
}

function send(response: Response, reply: Reply): void {
  if ("location" in reply) return response.redirect(303, reply.location);
  if (reply.forgetsCookie) response.clearCookie(COOKIE.name);
  if (reply.challenge !== undefined) response.set("WWW-Authenticate", reply.challenge);
  response.status(reply.status).type("html").send(reply.page.markup);
}
