import { memoryStore, type Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import type { Store } from "express-session";
import { application } from "./app.ts";
import { type Clock, newClock } from "./clock.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

/** Two servers of one application, on one store. */
export interface Servers {
  /** Runs the slow request. */
  readonly slow: Server;
  /** Ends the session. May be the same server. */
  readonly other: Server;
  readonly store: SessionStore;
  readonly sessions: Sessions;
  readonly clock: Clock;
}

/** The same application at two origins. */
export interface Server {
  readonly origin: string;
  /** With the option `resave`. */
  readonly resaving: string;
}

/**
 * @param count 1: the slow request and the end of its session are on one server; 2: on two, which share only
 *   the store
 * @param make `storeOf`: another backend; `bridgeOf`: another bridge
 */
export async function startServers(
  count: 1 | 2,
  make: {
    readonly storeOf?: (clock: Clock) => SessionStore;
    readonly bridgeOf?: (sessions: Sessions) => Store;
  } = {},
): Promise<Servers> {
  const clock = newClock();
  const { storeOf = (source) => memoryStore({ clock: source }), bridgeOf = expressSessionStore } = make;
  const store = storeOf(clock);
  const sessions = sessionsOn(store);
  const slow = await startServer(() => bridgeOf(sessions));
  const other = count === 1 ? slow : await startServer(() => bridgeOf(sessionsOn(store)));
  return { slow, other, store, sessions, clock };
}

async function startServer(bridge: () => Store): Promise<Server> {
  return {
    origin: await serve(application(bridge()).app),
    resaving: await serve(application(bridge(), { resave: true }).app),
  };
}
