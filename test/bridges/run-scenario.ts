import { randomUUID } from "node:crypto";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { Sessions, type SessionsOptions, type SessionStore } from "@tenure/core";
import { createApplication, type Step } from "./application.ts";
import type { Framework, Site, SiteSettings } from "./framework.ts";
import { createGates, type Gates } from "./gates.ts";
import { type WatchedStore, watchedStore } from "./watched-store.ts";

/** What a scenario works with: a framework on a store, and a user that no other scenario uses. */
export interface ScenarioContext {
  readonly userId: string;
  readonly gates: Gates;
  readonly watch: WatchedStore;
  readonly createSessions: (options?: Omit<SessionsOptions, "store">) => Sessions;
  /** Starts a server. To the bridges, servers with different `Sessions` are separate processes. */
  readonly serve: (sessions: Sessions, settings?: SiteSettings) => Promise<Browsers>;
}

export type Scenario = (context: ScenarioContext) => Promise<void>;

export interface Browsers {
  readonly browser: () => Browser;
  /** Returns a browser with the cookies of a browser of another server. */
  readonly browserOf: (other: Browser) => Browser;
}

export interface Browser {
  readonly cookies: Map<string, string>;
  readonly visitor: Visitor;
  /** Sends one request, in which the application takes these steps. */
  send(...steps: Step[]): Promise<{ readonly status: number; readonly data: Record<string, unknown> | null }>;
  /** Sends a request without steps. Resolves to the `userId` in the session's data. */
  userId(): Promise<unknown>;
  twin(): Browser;
}

/** The steps of a login through the framework's own calls. */
export const login = (userId: string): Step[] => ["regenerate", { set: { userId } }];

/** Logs a new browser in, through the framework's own calls. */
export async function loggedInBrowser({ browser }: Browsers, userId: string): Promise<Browser> {
  const loggedIn = browser();
  await loggedIn.send(...login(userId));
  return loggedIn;
}

export async function runScenario(
  framework: Framework,
  store: SessionStore,
  scenario: Scenario,
): Promise<void> {
  const watch = watchedStore(store);
  const sites: Site[] = [];
  const gates = createGates();
  try {
    await scenario({
      userId: randomUUID(),
      gates,
      watch,
      createSessions: (options = {}) => new Sessions({ store: watch.store, ...options }),
      async serve(sessions, settings) {
        const site = await framework.serve(sessions, createApplication(gates), settings);
        sites.push(site);
        return {
          browser: () => browserOf(visitor(site.origin)),
          browserOf: (other) => browserOf(visitor(site.origin, other.cookies)),
        };
      },
    });
  } finally {
    await Promise.all(sites.map((site) => site.close()));
  }
}

function browserOf(client: Visitor): Browser {
  return {
    cookies: client.cookies,
    visitor: client,
    send(...steps) {
      const response = client.post("/", steps).then(({ status, text }) => ({
        status,
        data: status === 200 ? (JSON.parse(text) as Record<string, unknown> | null) : null,
      }));
      // A scenario that gives up because the machine is too slow does not await its requests, which fail when
      // its servers close.
      response.catch(() => undefined);
      return response;
    },
    async userId() {
      const { status, text } = await client.get("/");
      if (status !== 200) throw new Error(`a request without steps got status ${status}: ${text}`);
      return (JSON.parse(text) as { userId?: unknown }).userId;
    },
    twin: () => browserOf(client.twin()),
  };
}
