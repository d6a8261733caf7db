import { memoryStore, type Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import type { Store } from "express-session";
import { application } from "./app.ts";
import { clock as newClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import type { Site, Stage } from "./race.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

/**
 * @param instances 1: the request and the end meet in one server; 2: in two, which share nothing but the store
 * @param make `storeOf`: another backend; `bridgeOf`: another bridge
 */
export async function stage(
  instances: 1 | 2,
  make: {
    readonly storeOf?: (clock: Clock) => SessionStore;
    readonly bridgeOf?: (sessions: Sessions) => Store;
  } = {},
): Promise<Stage> {
  const clock = newClock();
  const { storeOf = (source) => memoryStore({ clock: source }), bridgeOf = expressSessionStore } = make;
  const store = storeOf(clock);
  const site = (sessions: Sessions): Promise<Site> => siteOf(() => bridgeOf(sessions));
  const sessions = sessionsOn(store);
  const slow = await site(sessions);
  const other = instances === 1 ? slow : await site(sessionsOn(store));
  return { slow, other, store, sessions, clock };
}

/** The same application twice, with `resave` off and on, on stores of its own making. */
async function siteOf(bridge: () => Store): Promise<Site> {
  const store = bridge();
  return {
    origin: await serve(application(store).app),
    resaving: await serve(application(bridge(), { resave: true }).app),
  };
}
