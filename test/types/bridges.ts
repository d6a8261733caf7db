import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { fastifySessionStore } from "@tenure/fastify-session";
import { koaSessionStore } from "@tenure/koa-session";
import fastifySession from "@fastify/session";
import type { Request } from "express";
import session, { type Store } from "express-session";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Context } from "koa";
import { expectTypeOf } from "vitest";

/** The data of an application's sessions, declared once for `Sessions` and for the frameworks. */
interface Data {
  cart?: string[];
}

declare module "express-session" {
  interface SessionData extends Data {}
}

declare module "fastify" {
  interface Session extends Data {}
}

const sessions = new Sessions<Data>({ store: memoryStore() });

export async function expressRequestsHaveTheApplicationsData(req: Request): Promise<void> {
  const store = expressSessionStore(sessions);
  expectTypeOf(store).toExtend<Store>();
  session({ store, secret: "a secret" });
  expectTypeOf(req.session.cart).toEqualTypeOf<string[] | undefined>();
  // @ts-expect-error: the data have no such key.
  req.session.basket = [];
  // @ts-expect-error: a cart holds strings.
  req.session.cart = [1];
  expectTypeOf(await store.logIn(req, "ada")).toEqualTypeOf<{
    readonly refused: "logged-out-meanwhile" | "too-many-sessions" | null;
  }>();
  expectTypeOf(store.userOf(req)).toEqualTypeOf<string | null>();
  expectTypeOf(await store.rotate(req)).toEqualTypeOf<"rotated" | "new" | "superseded" | "dead">();
  // @ts-expect-error: logOut takes the request, not its session.
  await store.logOut(req.session);
  // @ts-expect-error: there is no such option.
  await store.logIn(req, "ada", { remember: true });
  // @ts-expect-error: there is no such option.
  expressSessionStore(sessions, { ttl: 60 });
  // @ts-expect-error: the bridge takes Sessions, not its store.
  expressSessionStore(memoryStore());
}

export async function fastifyRequestsHaveTheApplicationsData(
  app: FastifyInstance,
  request: FastifyRequest,
): Promise<void> {
  const store = fastifySessionStore(sessions);
  await app.register(fastifySession, { store, idGenerator: store.idGenerator, secret: "a secret" });
  expectTypeOf(request.session.cart).toEqualTypeOf<string[] | undefined>();
  // @ts-expect-error: a cart holds strings.
  request.session.cart = [1];
  expectTypeOf((await store.logIn(request, "ada")).refused).toEqualTypeOf<
    "logged-out-meanwhile" | "too-many-sessions" | null
  >();
  // @ts-expect-error: there is no such option.
  await store.logOutEverywhere(request, { keep: true });
  // @ts-expect-error: there is no such option.
  fastifySessionStore(sessions, { ttl: 60 });
}

export async function theBridgeTakesAContextOfKoa(ctx: Context): Promise<void> {
  const store = koaSessionStore(sessions);
  expectTypeOf((await store.logIn(ctx, "ada")).refused).toEqualTypeOf<
    "logged-out-meanwhile" | "too-many-sessions" | null
  >();
  expectTypeOf(store.userOf(ctx)).toEqualTypeOf<string | null>();
  // @ts-expect-error: there is no such option.
  await store.logOutEverywhere(ctx, { keep: true });
  // @ts-expect-error: there is no such option.
  koaSessionStore(sessions, { ttl: 60 });
}
