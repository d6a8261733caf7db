import { randomBytes, randomUUID } from "node:crypto";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { expect, test } from "vitest";
import { application } from "./app.ts";
import { serve } from "./serve.ts";
import { warningsHeard } from "./warnings-heard.ts";

test.for([
  { name: "a UUID", genid: () => randomUUID() },
  { name: "256 random bits", genid: () => randomBytes(32).toString("hex") },
  { name: "an empty string", genid: () => "" },
  { name: "nothing", genid: () => undefined as unknown as string },
])("a genid that gives $name is not used, and one warning says so", async ({ genid }) => {
  const warnings = warningsHeard();
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

test("the framework's own genid is no cause to warn", async () => {
  const warnings = warningsHeard();
  const { app } = application(expressSessionStore(new Sessions({ store: memoryStore() })));
  await visitor(await serve(app)).post("/login?user=ada");
  expect(await warnings()).toEqual([]);
});
