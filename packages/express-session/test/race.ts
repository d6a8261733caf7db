import { randomUUID } from "node:crypto";
import { type BrowserResponse, type Visitor, visitor } from "@tenure/cookie-client";
import type { Server, Servers } from "./servers.ts";

/** A request that continues after its session has ended. */
export interface LateRequest {
  readonly name: string;
  /** What it does after the end, as `/slow` takes it. */
  readonly steps: string;
  readonly resave?: boolean;
  /** It removes the user, and a logout is never late. */
  readonly isLogout?: boolean;
  /** Only a bridge that knows which session the request has loaded can stop it. */
  readonly needsIdentity?: boolean;
  /** With express-session's MemoryStore it brings the session back. */
  readonly revivesInMemoryStore?: boolean;
}

export const LATE_REQUESTS: readonly LateRequest[] = [
  { name: "saves a change", steps: "set:a", revivesInMemoryStore: true },
  { name: "saves explicitly and again at its end", steps: "set:a,save,set:b", revivesInMemoryStore: true },
  { name: "logs in again", steps: "set:a,login:ada", revivesInMemoryStore: true },
  { name: "deletes a key", steps: "set:other,save,delete:other" },
  { name: "deletes its user, which is a logout,", steps: "delete:userId", isLogout: true },
  { name: "changes nothing and is touched", steps: "" },
  { name: "touches explicitly", steps: "touch" },
  { name: "changes nothing and is resaved", steps: "", resave: true, revivesInMemoryStore: true },
  { name: "regenerates and keeps the user", steps: "regenerate,login:ada", needsIdentity: true },
  { name: "changes only the cookie's maxAge", steps: "maxAge:60000" },
];

/** What ends a session while a request runs. */
export interface Ending {
  readonly name: string;
  /** How many sessions of the user are alive afterwards, under other tokens. */
  readonly left: number;
  readonly leavesTombstone: boolean;
  readonly end: (servers: Servers, browser: Visitor, user: string) => Promise<unknown>;
}

/**
 * Added to timeouts: after each `revokeUser`, a memory store on a stopped clock is a few milliseconds ahead
 * of that clock.
 */
const SECOND = 1000;

export const ENDINGS: readonly Ending[] = [
  {
    name: "a logout",
    left: 0,
    leavesTombstone: true,
    end: (_servers, browser) => browser.post("/logout"),
  },
  {
    name: "a logout everywhere",
    left: 0,
    leavesTombstone: true,
    end: ({ sessions }, _browser, user) => sessions.revokeAllForUser(user),
  },
  {
    name: "a logout from the list of devices",
    left: 0,
    leavesTombstone: true,
    end: async ({ sessions }, _browser, user) => {
      const devices = await sessions.listForUser(user);
      await Promise.all(devices.map(({ id }) => sessions.revokeById(id, { userId: user })));
    },
  },
  {
    name: "a regenerate",
    left: 1,
    // Through the stateless bridge. Tenure's bridge keeps the record and gives it another token.
    leavesTombstone: true,
    end: (_servers, browser, user) => browser.post(`/slow?do=regenerate,login:${user}`),
  },
  {
    name: "a rotation",
    left: 1,
    leavesTombstone: false,
    end: (_servers, browser) => browser.post("/slow?do=rotate"),
  },
  {
    name: "the logout of every user",
    left: 0,
    leavesTombstone: true,
    end: ({ sessions }) => sessions.revokeEveryone(),
  },
  {
    name: "the idle timeout",
    left: 0,
    leavesTombstone: false,
    end: async ({ clock, sessions }) => clock.advance(sessions.policy.idleTimeout + SECOND),
  },
  {
    name: "the end of the lifetime",
    left: 0,
    leavesTombstone: false,
    end: async ({ clock, sessions }) => clock.advance(sessions.policy.lifetime + SECOND),
  },
];

export interface Outcome {
  /** The status of the slow request's response. */
  readonly status: number;
  /** What a later request with the ended session's cookie finds, as JSON. */
  readonly seen: string;
}

/**
 * Logs a user in, ends the session while a request with it waits, lets that request take its steps, and reads
 * the session with the same cookie.
 */
export async function race(
  server: Pick<Server, "origin">,
  steps: string,
  end: (browser: Visitor) => Promise<unknown>,
  user = "ada",
): Promise<Outcome> {
  const browser = visitor(server.origin);
  await browser.post(`/login?user=${user}`);
  const ended = browser.twin();
  const slow = await startSlow(browser.twin(), steps.replace("login:ada", `login:${user}`));
  await end(browser.twin());
  const { status } = await slow.finish();
  return { status, seen: (await ended.get("/me")).text };
}

/** A race between two servers. Also counts the user's sessions that are left. */
export async function raceOn(
  servers: Servers,
  { steps, resave = false }: LateRequest,
  ending: Ending,
): Promise<Outcome & { readonly left: number }> {
  const origin = resave ? servers.slow.resaving : servers.slow.origin;
  // The servers of one store may have run races before.
  const user = randomUUID();
  const end = (browser: Visitor): Promise<unknown> =>
    ending.end(servers, browser.twin(servers.other.origin), user);
  const outcome = await race({ origin }, steps, end, user);
  return { ...outcome, left: (await servers.sessions.listForUser(user)).length };
}

export interface SlowRequest {
  readonly finish: () => Promise<BrowserResponse>;
}

/** Starts a request, which loads its session and then waits. */
export async function startSlow(browser: Visitor, steps: string, query = ""): Promise<SlowRequest> {
  const name = randomUUID();
  const response = browser.post(`/slow?gate=${name}&do=${steps}${query}`);
  const cookieless = browser.twin();
  cookieless.cookies.clear();
  await cookieless.get(`/gate/reached?name=${name}`);
  return {
    finish: async () => {
      await cookieless.post(`/gate/open?name=${name}`);
      return response;
    },
  };
}
