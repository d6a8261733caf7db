import type { Project } from "./project.ts";

export const esm: Project = {
  title: "JavaScript, ES modules, Fastify",
  start: { type: "module", scripts: { start: "node application.js" } },
  dependencies: () => [
    "@tenure/core",
    "@tenure/fastify-session",
    "fastify",
    "@fastify/cookie",
    "@fastify/session",
  ],
  files: () => ({
    "application.js": `import cookie from "@fastify/cookie";
import session from "@fastify/session";
import { memoryStore, Sessions } from "@tenure/core";
import { fastifySessionStore, secureCookie } from "@tenure/fastify-session";
import fastify from "fastify";

const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m", lifetime: "12h" });
const store = fastifySessionStore(sessions);
const app = fastify();
await app.register(cookie);
await app.register(session, {
  store,
  idGenerator: store.idGenerator,
  secret: "a secret of a test, as long as secrets should be",
  ...secureCookie(sessions, { secure: false, name: "id" }),
  saveUninitialized: false,
  rolling: false,
});
app.post("/login", async (request, reply) => {
  const { refused } = await store.logIn(request, "ada");
  return reply.code(refused ? 409 : 200).send(refused ?? "hello");
});
app.post("/everywhere", async (request) => String(await store.logOutEverywhere(request)));
app.get("/me", async (request, reply) => {
  const user = store.userOf(request);
  return reply.code(user === null ? 401 : 200).send(user ?? "nobody");
});
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
`,
  }),
  scripts: [],
  application: { script: "start" },
};

export const commonjs: Project = {
  title: "JavaScript, CommonJS, Koa",
  start: { type: "commonjs", scripts: { start: "node application.js" } },
  dependencies: () => ["@tenure/core", "@tenure/koa-session", "koa", "koa-session"],
  files: () => ({
    "application.js": `const { memoryStore, Sessions } = require("@tenure/core");
const { koaSessionStore, secureCookie } = require("@tenure/koa-session");
const Koa = require("koa");
const session = require("koa-session");

const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m", lifetime: "12h" });
const store = koaSessionStore(sessions);
const app = new Koa();
app.keys = ["a secret of a test, as long as secrets should be"];
// When required, koa-session 7 is an object with functions, and koa-session 6 is the function.
const middleware = session.createSession ?? session.default ?? session;
app.use(middleware({ store, genid: store.genid, ...secureCookie(sessions, { secure: false, name: "id" }) }, app));
app.use(async (ctx) => {
  if (ctx.path === "/login") {
    const { refused } = await store.logIn(ctx, "ada");
    ctx.status = refused ? 409 : 200;
    ctx.body = refused ?? "hello";
  } else if (ctx.path === "/everywhere") {
    ctx.body = String(await store.logOutEverywhere(ctx));
  } else if (ctx.path === "/me") {
    const user = store.userOf(ctx);
    ctx.status = user === null ? 401 : 200;
    ctx.body = user ?? "nobody";
  }
});
app.listen(Number(process.env.PORT), "127.0.0.1");
`,
  }),
  scripts: [],
  application: { script: "start" },
};
