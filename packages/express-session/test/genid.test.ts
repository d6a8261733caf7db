import { randomBytes, randomUUID } from "node:crypto";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { expect, test } from "vitest";
import { application } from "./app.ts";
import { collectWarnings } from "./collect-warnings.ts";
import { serve } from "./serve.ts";

test.for([
  { name: "a UUID", genid: () => randomUUID() },
  { name: "256 random bits", genid: () => randomBytes(32).toString("hex") },
  { name: "an empty string", genid: () => "" },
  { name: "undefined", genid: () => undefined as unknown as string },
])("a genid that returns $name is not used, and one warning reports it", async ({ genid }) => {
  const warnings = collectWarnings();
  const sessions = new Sessions({ store: memoryStore() });
  const { app, errors } = application(expressSessionStore(sessions), { genid });
  const browser = visitor(await serve(app));
  for (const user of ["ada", "bob"]) {
    await browser.post(`/login?user=${user}`);
    expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: user });
  }
  expect(browser.cookies.get("connect.sid")).toMatch(/^s%3A[\w-]{22}\.[\w-]{43}\./);
  expect(errors).toEqual([]);
  expect(await warnings()).toEqual(["TENURE_GENID_UNUSED"]);
});

test("the framework's own genid gives no warning", async () => {
  const warnings = collectWarnings();
  const { app } = application(expressSessionStore(new Sessions({ store: memoryStore() })));
  await visitor(await serve(app)).post("/login?user=ada");
  expect(await warnings()).toEqual([]);
});
