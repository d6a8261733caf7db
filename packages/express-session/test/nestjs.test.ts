import { Controller, Get, Module, Post, Req, Session as NestSession } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import type { Request } from "express";
import session, { type SessionData } from "express-session";
import { expect, onTestFinished, test } from "vitest";
import { aliveIn, SECRET } from "./app.ts";
import { gate } from "./gate.ts";

async function start() {
  const store = memoryStore();
  const sessions = new Sessions({ store });
  const bridge = expressSessionStore(sessions);
  const slow = gate();

  class Account {
    me(req: Request): unknown {
      return { userId: bridge.userOf(req) };
    }
    async login(req: Request): Promise<string> {
      const { refused } = await bridge.logIn(req, "ada");
      return refused ?? "in";
    }
    async logout(req: Request): Promise<string> {
      await bridge.logOut(req);
      return "out";
    }
    async everywhere(req: Request): Promise<number> {
      return bridge.logOutEverywhere(req);
    }
    async slow(data: SessionData): Promise<string> {
      await slow.wait();
      data["late"] = true;
      return "done";
    }
  }
  decorate(Account, "me", Get("me"), Req());
  decorate(Account, "login", Post("login"), Req());
  decorate(Account, "logout", Post("logout"), Req());
  decorate(Account, "everywhere", Post("everywhere"), Req());
  decorate(Account, "slow", Post("slow"), NestSession());
  Controller()(Account);

  // oxlint-disable-next-line typescript/no-extraneous-class -- a NestJS module is a class with only metadata
  class Application {}
  Module({ controllers: [Account] })(Application);

  const app = await NestFactory.create(Application, { logger: false });
  app.use(session({ secret: SECRET, resave: false, saveUninitialized: false, store: bridge }));
  await app.listen(0, "127.0.0.1");
  onTestFinished(() => app.close());
  const origin = (await app.getUrl()).replace("[::1]", "127.0.0.1");
  return { store, slow, browser: visitor(origin), other: visitor(origin) };
}

test("NestJS: a user logs in and out, and a slow request does not bring the session back", async () => {
  const { store, slow, browser } = await start();
  await browser.post("/login");
  expect((await browser.get("/me")).text).toBe('{"userId":"ada"}');
  const running = browser.twin().post("/slow");
  await slow.reached;
  expect((await browser.twin().post("/logout")).text).toBe("out");
  slow.open();
  expect((await running).status).toBe(201);
  expect((await browser.get("/me")).text).toBe('{"userId":null}');
  expect(await aliveIn(store)).toEqual([]);
});

test("NestJS: logOutEverywhere ends the sessions of every browser", async () => {
  const { store, browser, other } = await start();
  await browser.post("/login");
  await other.post("/login");
  expect((await browser.post("/everywhere")).text).toBe("2");
  expect((await other.get("/me")).text).toBe('{"userId":null}');
  expect(await aliveIn(store)).toEqual([]);
});

/** Applies decorators by function calls: their syntax cannot be erased by stripping types. */
function decorate(
  target: new () => object,
  method: string,
  route: MethodDecorator,
  parameter: ParameterDecorator,
): void {
  route(target.prototype as object, method, Object.getOwnPropertyDescriptor(target.prototype, method)!);
  parameter(target.prototype as object, method, 0);
}
