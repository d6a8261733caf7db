import { once } from "node:events";
import { Agent, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import session, { type Store } from "express-session";
import { IDLE } from "./competitor.ts";
import { SECRET } from "./requests.ts";

/** Starts an application with the real middleware, whose page is the logged-in user. Resolves to its port. */
export async function listen(store: Store): Promise<number> {
  const app = express();
  app.use(
    session({ store, secret: SECRET, resave: false, saveUninitialized: false, cookie: { maxAge: IDLE } }),
  );
  app.get("/", (req, res) => {
    res.end((req.session as { readonly userId?: string }).userId ?? "nobody");
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/**
 * Runs a closed loop of browsers, each with its own connection. Each request uses a random session.
 *
 * @param cookies the header of each session
 */
export async function visit(
  port: number,
  cookies: readonly string[],
  concurrency: number,
  ms: number,
): Promise<{ readonly requests: number; readonly seconds: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const began = performance.now();
  let requests = 0;
  async function browser(): Promise<void> {
    while (performance.now() - began < ms) {
      const user = await page(agent, port, cookies[Math.floor(Math.random() * cookies.length)] ?? "");
      if (!user.startsWith("user-")) throw new Error("The benchmark lost a session over HTTP.");
      requests += 1;
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, browser));
    return { requests, seconds: (performance.now() - began) / 1000 };
  } finally {
    agent.destroy();
  }
}

function page(agent: Agent, port: number, cookie: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ agent, host: "127.0.0.1", port, headers: { cookie } }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve(body));
      response.on("error", reject);
    }).on("error", reject);
  });
}
