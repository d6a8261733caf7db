import { visitor } from "@tenure/cookie-client";
import { memoryStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import express, { type Request, type RequestHandler, type Response } from "express";
import express4 from "express4";
import { expect, onTestFinished, test } from "vitest";
import { application } from "./app.ts";
import { breakable } from "./breakable.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

/** Copied from the README. */
const handle =
  (handler: (req: Request, res: Response) => Promise<unknown>): RequestHandler =>
  (req, res, next) =>
    // oxlint-disable-next-line promise/no-callback-in-promise -- Express handles what `next` throws
    void handler(req, res).catch(next);

test.for([
  { version: 4, makeExpress: express4 },
  { version: 5, makeExpress: express },
])(
  "on Express $version, the README's handlers respond with 500 while the store fails, and no rejection is unhandled",
  async ({ makeExpress }) => {
    const rejections: unknown[] = [];
    const note = (error: unknown): void => void rejections.push(error);
    process.on("unhandledRejection", note);
    onTestFinished(() => void process.off("unhandledRejection", note));
    const { store: backend, fail } = breakable(memoryStore());
    const store = expressSessionStore(sessionsOn(backend));
    const { app, routes } = application(store, {}, makeExpress);
    routes.post(
      "/in",
      handle(async (req, res) => {
        const { refused } = await store.logIn(req, "ada");
        return res.status(refused ? 409 : 200).send("hello ada");
      }),
    );
    routes.post(
      "/out",
      handle(async (req, res) => {
        await store.logOut(req);
        return res.send("bye");
      }),
    );
    routes.post(
      "/everywhere",
      handle(async (req, res) => res.json(await store.logOutEverywhere(req))),
    );
    const browser = visitor(await serve(app));
    await browser.post("/slow?do=set:cart");
    fail(["update", "create"]);
    expect((await browser.post("/in")).status).toBe(500);
    fail(undefined);
    expect((await browser.post("/in")).status).toBe(200);
    fail(["revoke", "revokeUser"]);
    for (const path of ["/out", "/everywhere"]) expect((await browser.post(path)).status).toBe(500);
    fail(undefined);
    expect((await browser.post("/everywhere")).text).toBe("1");
    expect(rejections).toEqual([]);
  },
);
