import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { called } from "./called.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";
import { signedIn, signedValue } from "./signed-in.ts";

const TOKENS = [
  "x".repeat(1024 * 1024),
  "a\0b".repeat(20),
  "\ud800".repeat(40),
  "{}",
  "$where",
  "' or 1=1 --".repeat(4),
  "😀".repeat(40),
  "__proto__",
  "constructor",
  "../../etc/passwd",
  "",
];

describe("a token that this server never gave", () => {
  test.for(TOKENS.map((token) => ({ name: JSON.stringify(token.slice(0, 20)), token })))(
    "logs nobody in, crashes nothing and is never adopted: $name",
    async ({ token }) => {
      const backend = memoryStore();
      const store = expressSessionStore(sessionsOn(backend));
      const { app } = application(store, { saveUninitialized: true });
      const origin = await serve(app, { maxHeaderSize: 4 * 1024 * 1024 });
      const [ada, thief] = [visitor(origin), visitor(origin)];
      await ada.post("/login?user=ada");
      // Even one that carries a valid signature; a lone surrogate is one that no cookie can carry.
      const intruder = token.isWellFormed() ? signedIn(thief, token) : thief;
      const { status, text, setCookies } = await intruder.get("/me");
      expect([status, text]).toEqual([200, "{}"]);
      expect(setCookies).toHaveLength(1);
      expect(intruder.cookies.get("connect.sid")).not.toBe(
        token.isWellFormed() ? signedValue(token) : undefined,
      );
      expect(await called((done) => store.get(token, done))).toBeNull();
      await called((done) => store.destroy(token, done));
      // What was ended is not made again by hand either, and what can't be a token never is.
      await called((done) => store.set(token, { cookie: {} as never }, done)).catch(() => undefined);
      expect(await called((done) => store.get(token, done))).toBeNull();
      expect((await aliveIn(backend)).filter((user) => user === "ada")).toHaveLength(1);
    },
  );

  test.for([
    "%",
    "s%3A",
    "s%3A.",
    "s%3Aabc",
    "s:%ff.x",
    "j%3A%7B%7D",
    "=",
    '"',
    "s%3A" + "a".repeat(43) + ".forged",
    "\u00ff\u00fe",
  ])("in a malformed cookie, %s, is nobody's", async (value) => {
    const { app } = application(expressSessionStore(sessionsOn(memoryStore())));
    const origin = await serve(app);
    await visitor(origin).post("/login?user=ada");
    const browser = visitor(origin, new Map([["connect.sid", value]]));
    expect(await browser.get("/me")).toMatchObject({ status: 200, text: "{}" });
  });

  test("in a header with two cookies of one name, the first counts and the other is nobody's", async () => {
    const { app } = application(expressSessionStore(sessionsOn(memoryStore())));
    const origin = await serve(app);
    const ada = visitor(origin);
    await ada.post("/login?user=ada");
    const [forged, real] = ["connect.sid=forged", `connect.sid=${ada.cookies.get("connect.sid")}`];
    const seen = async (cookie: string): Promise<unknown> => {
      const { status, text } = await visitor(origin).get("/me", { cookie });
      return [status, text];
    };
    expect(await seen(`${forged}; ${real}`)).toEqual([200, "{}"]);
    expect(await seen(`${real}; ${forged}`)).toEqual([200, '{"userId":"ada"}']);
  });
});

describe("hostile keys in session data", () => {
  const hostile = JSON.parse(
    '{"__proto__":{"isAdmin":true},"constructor":1,"toString":"x","id":"x","req":"x","save":"x","cookieX":1,"hasOwnProperty":0,"userId":"ada"}',
  ) as Record<string, unknown>;

  test.for([
    { name: "with a cookie's settings", made: { ...hostile, cookie: { originalMaxAge: null, path: "/" } } },
    { name: "without", made: hostile },
  ])(
    "that another bridge stored, $name, change no prototype, and a save of other keys keeps them",
    async ({ made }) => {
      const sessions = sessionsOn(memoryStore());
      const { app, routes } = application(expressSessionStore(sessions));
      routes.get("/kind", (req, res) => {
        res.json([
          (req.session as { isAdmin?: boolean }).isAdmin ?? null,
          typeof req.session.save,
          Object.getPrototypeOf(req.session) === Object.prototype,
          ({} as { isAdmin?: boolean }).isAdmin ?? null,
        ]);
      });
      const { token } = await sessions.create(made);
      const browser = signedIn(visitor(await serve(app)), token);
      expect(JSON.parse((await browser.get("/kind")).text)).toEqual([null, "function", false, null]);
      expect((await browser.post("/slow?do=set:a,save,set:b")).status).toBe(200);
      const stored = (await sessions.get(token))!.data;
      expect(Object.entries(stored).filter(([key]) => key !== "cookie")).toEqual([
        ...Object.entries(hostile),
        ["a", "a of someone"],
        ["b", "b of someone"],
      ]);
      expect(Object.getPrototypeOf(stored)).toBe(Object.prototype);
    },
  );

  test("that an application writes are stored as they are or not at all, and harm nobody", async () => {
    const sessions = sessionsOn(memoryStore());
    const { app, routes, errors } = application(expressSessionStore(sessions));
    routes.get("/write", (req, res) => {
      Object.assign(req.session, {
        nested: hostile,
        toString: "x",
        hasOwnProperty: "x",
        "\0": "\ud800",
        "": "😀",
      });
      res.end();
    });
    const browser = visitor(await serve(app));
    expect((await browser.get("/write")).status).toBe(200);
    const { text } = await browser.get("/me");
    expect(text).toBe(JSON.stringify({ nested: hostile, "\0": "\ud800", "": "😀" }));
    expect((await browser.post("/slow?do=set:a")).status).toBe(200);
    expect(errors).toEqual([]);
  });

  test.for([
    { name: "a bigint", value: 1n },
    { name: "a cycle", value: cycle() },
    { name: "2 MiB", value: "x".repeat(2 * 1024 * 1024) },
  ])("$name is an error before anything is written", async ({ value }) => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    const token = "t".repeat(43);
    await called((done) => store.set(token, { cookie: {} as never, kept: 1 }, done));
    const bad = { cookie: {} as never, kept: 2, value };
    await expect(called((done) => store.set(token, bad, done))).rejects.toThrow(TypeError);
    expect(await called((done) => store.get(token, done))).toMatchObject({ kept: 1 });
    const other = "u".repeat(43);
    await expect(called((done) => store.set(other, { ...bad }, done))).rejects.toThrow(TypeError);
    expect(await aliveIn(backend)).toHaveLength(1);
  });
});

function cycle(): object {
  const self: Record<string, unknown> = {};
  self["self"] = self;
  return self;
}

describe("a user id", () => {
  async function login(data: object, userId?: (data: Record<string, unknown>) => unknown) {
    const backend = memoryStore();
    const store = expressSessionStore(new Sessions({ store: backend, ...(userId && { userId }) }));
    const { app, routes } = application(store);
    routes.get("/in", (req, res, next) => {
      Object.assign(req.session, data);
      req.session.save((error) => (error ? next(error) : res.end("in")));
    });
    const { status, text } = await visitor(await serve(app)).get("/in");
    return { status, text, alive: await aliveIn(backend) };
  }

  test.for([
    { data: { userId: 0 }, user: "0" },
    { data: { userId: 7 }, user: "7" },
    { data: { userId: "ada" }, user: "ada" },
    { data: { userId: "a\0b😀'\"{$where}" }, user: "a\0b😀'\"{$where}" },
    { data: { userId: "a lone \ud800" }, user: "nobody" },
    { data: { userId: "__proto__" }, user: "__proto__" },
    { data: { passport: { user: "ada" } }, user: "ada" },
    { data: { passport: { user: 0 } }, user: "0" },
    { data: { userId: "ada", passport: { user: "eve" } }, user: "ada" },
    { data: { userId: null, passport: { user: "eve" } }, user: "eve" },
    { data: { passport: null }, user: "nobody" },
    { data: { passport: "text" }, user: "text" },
    { data: { userId: undefined, passport: {} }, user: "nobody" },
  ])("$data is the user $user", async ({ data, user }) => {
    expect(await login(data)).toEqual({ status: 200, text: "in", alive: [user] });
  });

  test.for([
    { userId: "" },
    { userId: {} },
    { userId: [] },
    { userId: true },
    { userId: 1.5 },
    { passport: { user: { id: 7, name: "Ada" } } },
    { passport: { user: "" } },
  ])("%o cannot name a user: the session is nobody's", async (data) => {
    expect(await login(data)).toEqual({ status: 200, text: "in", alive: ["nobody"] });
  });

  test("may be derived by a function of the data", async () => {
    const byMail = (data: Record<string, unknown>): string => (data["account"] as { mail: string }).mail;
    expect(await login({ account: { mail: "ada@example.org" }, userId: {} }, byMail)).toMatchObject({
      alive: ["ada@example.org"],
    });
  });
});
