import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Duration, Sessions, type SessionStore } from "@tenure/core";
import type { DeviceSession } from "./device-session.ts";
import { listenerBefore } from "./listener.ts";
import { cookieSecret, protectKey } from "./secret.ts";
import { createSite, type Site } from "./site.ts";

export interface DemoOptions {
  readonly store: SessionStore;
  /** Where the sessions are kept, as the pages show it: "the memory of this process". */
  readonly place: string;
  /** Default Express. */
  readonly framework?: Framework;
  /** Absent: 3000, or a free port if that is taken. 0: a free port. */
  readonly port?: number;
  /** What the slow request does before it saves. Default: wait for 5 s. */
  readonly work?: () => Promise<void>;
  /**
   * How recent a login must be for logging out other devices. Default: one minute, so that it can be shown;
   * 15 minutes are usual.
   */
  readonly recent?: Duration;
}

export type Framework = "express" | "fastify" | "koa";

export interface Demo {
  /** `http://127.0.0.1:3000` */
  readonly url: string;
  /** Stops serving. The store stays open: it belongs to the caller. */
  close(): Promise<void>;
}

/** Serves the demo on the loopback. Rejects if the given port is taken. */
export async function startDemo(options: DemoOptions): Promise<Demo> {
  const { store, place, framework = "express", port, work, recent = "1m" } = options;
  const sessions = new Sessions<DeviceSession>({
    store,
    protect: { keys: [protectKey()] },
    idleTimeout: "30m",
    lifetime: "12h",
    touchEvery: "5s",
  });
  const app = await APPS[framework](sessions, createSite({ sessions, place, work, recent }), cookieSecret());
  const server = createServer(listenerBefore(app));
  await (port === undefined ? listen(server, 3000).catch(() => listen(server, 0)) : listen(server, port));
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

type MakeApp = (
  sessions: Sessions<DeviceSession>,
  site: Site,
  secret: string,
) => RequestListener | Promise<RequestListener>;

/** Each is loaded only if it is used, so that the demo starts quickly. */
const APPS: Record<Framework, MakeApp> = {
  express: async (...args) => (await import("./frameworks/express.ts")).expressApp(...args),
  fastify: async (...args) => (await import("./frameworks/fastify.ts")).fastifyApp(...args),
  koa: async (...args) => (await import("./frameworks/koa.ts")).koaApp(...args),
};

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening").catch((error: unknown) => {
    throw new Error(`Cannot listen on 127.0.0.1:${port}: choose another --port`, { cause: error });
  });
}
