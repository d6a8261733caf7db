import { randomUUID } from "node:crypto";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { Sessions, type SessionsOptions } from "@tenure/core";
import { application, type Step } from "./application.ts";
import type { Framework, Site, SiteSettings } from "./framework.ts";
import { type Gates, gates } from "./gates.ts";
import type { OpenStore } from "./stores.ts";
import { type WatchedStore, watchedStore } from "./watched-store.ts";

/** The surroundings of one scenario: a framework on a store, and a user that no other scenario has. */
export interface Stage {
  readonly userId: string;
  readonly gates: Gates;
  readonly watch: WatchedStore;
  readonly sessions: (options?: Omit<SessionsOptions, "store">) => Sessions;
  /** Starts a server, which for a bridge looks like a separate process. */
  readonly serve: (sessions: Sessions, settings?: SiteSettings) => Promise<Browsers>;
}

export interface Browsers {
  readonly browser: () => Browser;
  /** Returns a browser with the cookies of a browser that visits another server. */
  readonly browserOf: (other: Browser) => Browser;
}

export interface Browser {
  readonly cookies: Map<string, string>;
  readonly visitor: Visitor;
  /** Sends one request that takes these steps. */
  does(...steps: Step[]): Promise<{ readonly status: number; readonly data: Record<string, unknown> | null }>;
  /** Sends a request without steps and returns the user that it finds logged in. */
  userId(): Promise<unknown>;
  twin(): Browser;
}

/** The steps of a login by the framework's own means. */
export const login = (userId: string): Step[] => ["regenerate", { set: { userId } }];

export async function onStage(
  framework: Framework,
  open: OpenStore,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  const watch = watchedStore(open.store);
  const sites: Site[] = [];
  const doors = gates();
  try {
    await play({
      userId: randomUUID(),
      gates: doors,
      watch,
      sessions: (options = {}) => new Sessions({ store: watch.store, ...options }),
      async serve(sessions, settings) {
        const site = await framework.serve(sessions, application(doors), settings);
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
    does(...steps) {
      const done = client.post("/", steps).then(({ status, text }) => ({
        status,
        data: status === 200 ? (JSON.parse(text) as Record<string, unknown> | null) : null,
      }));
      // A scenario that gives up because the machine is too slow abandons its requests, which fail when its
      // sites close.
      done.catch(() => undefined);
      return done;
    },
    async userId() {
      const { status, text } = await client.get("/");
      if (status !== 200) throw new Error(`a request without steps got status ${status}: ${text}`);
      return (JSON.parse(text) as { userId?: unknown }).userId;
    },
    twin: () => browserOf(client.twin()),
  };
}
