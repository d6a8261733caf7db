import { randomBytes, randomUUID } from "node:crypto";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/watched-store";
import { describe, expect, test } from "vitest";
import { application } from "./app.ts";
import { serve } from "./serve.ts";

async function start(genid: () => string, minTokenBits = 128) {
  const { store, look: calls } = watched(memoryStore());
  const sessions = new Sessions({ store, minTokenBits });
  const { app, errors } = application(expressSessionStore(sessions), { genid, saveUninitialized: true });
  return { browser: visitor(await serve(app)), calls, errors };
}

describe.for([
  { name: "a UUID, which has 122 bits", genid: () => randomUUID() },
  { name: "a number", genid: () => String(Math.random()).slice(2) },
  { name: "64 bits of hexadecimal", genid: () => randomBytes(8).toString("hex") },
  { name: "an empty string", genid: () => "" },
  { name: "no string", genid: () => 7 as unknown as string },
  { name: "nothing", genid: () => undefined as unknown as string },
  { name: "a megabyte", genid: () => "x".repeat(1024 * 1024) },
])("a genid that gives $name", ({ genid }) => {
  test("is refused at the first request, before a cookie leaves and before anything is stored", async () => {
    const { browser, calls, errors } = await start(genid);
    const { status, text, setCookies } = await browser.get("/me");
    expect(status).toBe(500);
    expect(text).toMatch(/^TypeError: a token /);
    expect(setCookies).toEqual([]);
    expect(calls()).toEqual([]);
    expect(errors).toHaveLength(1);
  });

  test("is refused where an unknown cookie makes a new session, too", async () => {
    const { browser, calls } = await start(genid);
    browser.cookies.set("connect.sid", "nonsense");
    const { status, setCookies } = await browser.get("/me");
    expect([status, setCookies]).toEqual([500, []]);
    expect(calls()).toEqual([]);
  });
});

test("a genid that becomes weak between is an error to the callback of regenerate, and not of the process", async () => {
  let strong = true;
  const { browser } = await start(() => (strong ? randomBytes(32).toString("hex") : "weak"));
  expect((await browser.post("/login?user=ada")).status).toBe(200);
  strong = false;
  const { status, setCookies } = await browser.post("/login?user=ada");
  expect([status, setCookies]).toEqual([500, []]);
});

test("minTokenBits of Sessions lowers the bar", async () => {
  const { browser } = await start(() => randomUUID(), 122);
  await browser.post("/login?user=ada");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
});

test("the framework's own ids pass", async () => {
  const { app } = application(expressSessionStore(new Sessions({ store: memoryStore() })));
  const browser = visitor(await serve(app));
  await browser.post("/login?user=ada");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
});
