import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { browserWithToken, signedCookie } from "./browser-with-token.ts";
import { fromCallback } from "./from-callback.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

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

describe("a token that this server never issued", () => {
  test.for(TOKENS.map((token) => ({ name: JSON.stringify(token.slice(0, 20)), token })))(
    "logs nobody in, crashes nothing and is never adopted: $name",
    async ({ token }) => {
      const backend = memoryStore();
      const store = expressSessionStore(sessionsOn(backend));
      const { app } = application(store, { saveUninitialized: true });
      const origin = await serve(app, { maxHeaderSize: 4 * 1024 * 1024 });
      const [ada, thief] = [visitor(origin), visitor(origin)];
      await ada.post("/login?user=ada");
      // Even with a valid signature. No cookie can contain a lone surrogate.
      const intruder = token.isWellFormed() ? browserWithToken(thief, token) : thief;
      const { status, text, setCookies } = await intruder.get("/me");
      expect([status, text]).toEqual([200, "{}"]);
      expect(setCookies).toHaveLength(1);
      expect(intruder.cookies.get("connect.sid")).not.toBe(
        token.isWellFormed() ? signedCookie(token) : undefined,
      );
      expect(await fromCallback((done) => store.get(token, done))).toBeNull();
      await fromCallback((done) => store.destroy(token, done));
      // `set` creates no session under an ended token or under a value that cannot be a token.
      await fromCallback((done) => store.set(token, { cookie: {} as never }, done)).catch(() => undefined);
      expect(await fromCallback((done) => store.get(token, done))).toBeNull();
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
  ])("in a malformed cookie, %s, logs nobody in", async (value) => {
    const { app } = application(expressSessionStore(sessionsOn(memoryStore())));
    const origin = await serve(app);
    await visitor(origin).post("/login?user=ada");
    const browser = visitor(origin, new Map([["connect.sid", value]]));
    expect(await browser.get("/me")).toMatchObject({ status: 200, text: "{}" });
  });
});

test("of two cookies with the session's name in one header, only the first counts", async () => {
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

describe("hostile keys in session data", () => {
  const hostile = JSON.parse(
    '{"__proto__":{"isAdmin":true},"constructor":1,"toString":"x","id":"x","req":"x","save":"x","cookieX":1,"hasOwnProperty":0,"userId":"ada"}',
  ) as Record<string, unknown>;

  test.for([
    { name: "with cookie settings", data: { ...hostile, cookie: { originalMaxAge: null, path: "/" } } },
    { name: "without cookie settings", data: hostile },
  ])(
    "stored by another bridge, $name, change no prototype, and a save of other keys keeps them",
    async ({ data }) => {
      const sessions = sessionsOn(memoryStore());
      const { app, routes } = application(expressSessionStore(sessions));
      routes.get("/prototypes", (req, res) => {
        res.json([
          (req.session as { isAdmin?: boolean }).isAdmin ?? null,
          typeof req.session.save,
          Object.getPrototypeOf(req.session) === Object.prototype,
          ({} as { isAdmin?: boolean }).isAdmin ?? null,
        ]);
      });
      const { token } = await sessions.create(data);
      const browser = browserWithToken(visitor(await serve(app)), token);
      expect(JSON.parse((await browser.get("/prototypes")).text)).toEqual([null, "function", false, null]);
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

  test("written by an application are stored unchanged or not at all, and break no later request", async () => {
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
    { name: "a value of 2 MiB", value: "x".repeat(2 * 1024 * 1024) },
  ])("$name in session data is a TypeError, and nothing is written", async ({ value }) => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    const token = "t".repeat(43);
    await fromCallback((done) => store.set(token, { cookie: {} as never, kept: 1 }, done));
    const bad = { cookie: {} as never, kept: 2, value };
    await expect(fromCallback((done) => store.set(token, bad, done))).rejects.toThrow(TypeError);
    expect(await fromCallback((done) => store.get(token, done))).toMatchObject({ kept: 1 });
    const other = "u".repeat(43);
    await expect(fromCallback((done) => store.set(other, { ...bad }, done))).rejects.toThrow(TypeError);
    expect(await aliveIn(backend)).toHaveLength(1);
  });
});

function cycle(): object {
  const self: Record<string, unknown> = {};
  self["self"] = self;
  return self;
}

test("if the option userId throws for the data, a request with a cookie from before a rotation gets its response", async () => {
  const userId = ({ isBroken = false }: { readonly isBroken?: boolean }): string => {
    if (isBroken) throw new Error("broken");
    return "ada";
  };
  const { app, routes } = application(
    expressSessionStore(new Sessions<Record<string, unknown>>({ store: memoryStore(), userId })),
  );
  routes.post("/broken", (req, res) => {
    req.session["isBroken"] = true;
    res.end("done");
  });
  const browser = visitor(await serve(app));
  await browser.post("/slow?do=set:a");
  const old = browser.twin();
  await browser.post("/slow?do=rotate");
  expect(await old.post("/broken")).toMatchObject({ status: 200, text: "done", setCookies: [] });
});

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
  ])("in the data $data is $user", async ({ data, user }) => {
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
  ])("in the data %o is none, so the session is anonymous", async (data) => {
    expect(await login(data)).toEqual({ status: 200, text: "in", alive: ["nobody"] });
  });

  test("is derived from the data by the option userId", async () => {
    const mailOf = (data: Record<string, unknown>): unknown =>
      (data["account"] as { mail: string } | undefined)?.mail;
    expect(await login({ account: { mail: "ada@example.org" }, userId: {} }, mailOf)).toMatchObject({
      alive: ["ada@example.org"],
    });
  });
});
