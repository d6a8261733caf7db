import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import type { LoginSettings, Sessions } from "@tenure/core";
import { readSteps, type SessionAdapter } from "./application.ts";
import type { Framework } from "./framework.ts";
import { listen } from "./listen.ts";

/** The bridge that docs/write-a-bridge.md shows. */
export const guideBridge: Framework = {
  name: "the guide's bridge",
  async serve(sessions, application, { maxAge } = {}) {
    const { httpSessions } = await loadGuide();
    const sessionOf = httpSessions(sessions);
    const server = http.createServer((request, response) => {
      respond(request, response).catch(() => response.writeHead(500).end());
    });

    async function respond(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
      const session = await sessionOf(request, response);
      if (maxAge !== undefined) session.maxAge = maxAge;
      const data = await application.run(sessionAdapter(session), await readSteps(request));
      await session.save();
      response.end(JSON.stringify(data));
    }

    return listen(server);
  },
};

export interface GuideSession {
  readonly token: string;
  readonly userId: string | null;
  data: Record<string, unknown>;
  maxAge: unknown;
  save(): Promise<void>;
  regenerate(): Promise<void>;
  rotate(): Promise<string>;
  logIn(user: string, options?: LoginSettings): Promise<string | null>;
  logOut(): Promise<void>;
  logOutEverywhere(options?: { readonly keepThis?: boolean }): Promise<number>;
}

export interface Guide {
  readonly httpSessions: (
    sessions: Sessions,
  ) => (request: http.IncomingMessage, response: http.ServerResponse) => Promise<GuideSession>;
}

let guide: Promise<Guide> | undefined;

/** Imports the page's first code block, once. */
export function loadGuide(): Promise<Guide> {
  return (guide ??= importFromPage());
}

async function importFromPage(): Promise<Guide> {
  const page = readFileSync(join(import.meta.dirname, "../../docs/write-a-bridge.md"), "utf8");
  const [, bridge] = /```ts\n(.*?)\n```/su.exec(page) ?? [];
  if (bridge === undefined || bridge.split("\n").length > 75) {
    throw new Error("docs/write-a-bridge.md has no complete bridge of at most 75 lines");
  }
  // The file is inside the workspace, so that its imports resolve as they do for a package.
  const parent = join(import.meta.dirname, ".guide");
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "bridge-"));
  try {
    writeFileSync(join(folder, "bridge.ts"), bridge);
    return (await import(join(folder, "bridge.ts"))) as Guide;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function sessionAdapter(session: GuideSession): SessionAdapter {
  return {
    get token() {
      return session.token;
    },
    get user() {
      return session.userId;
    },
    entries: () => session.data,
    set(key, value) {
      session.data[key] = value;
    },
    delete(key) {
      delete session.data[key];
    },
    setMaxAge(maxAge) {
      session.maxAge = maxAge;
    },
    save: () => session.save(),
    regenerate: () => session.regenerate(),
    async rotate() {
      await session.rotate();
    },
    destroy: () => session.logOut(),
    logIn: (userId, options) => session.logIn(userId, options),
    logOut: () => session.logOut(),
    logOutEverywhere: (options) => session.logOutEverywhere(options),
  };
}
