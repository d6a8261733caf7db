import { randomUUID } from "node:crypto";
import { type Answer, type Visitor, visitor } from "@tenure/cookie-client";
import type { Sessions, SessionStore } from "@tenure/core";
import type { Clock } from "./clock.ts";

/** Two servers of one application, on one store: each has `resave` off at one origin, and on at the other. */
export interface Stage {
  readonly slow: Site;
  /** Where the session is ended. May be the same. */
  readonly other: Site;
  readonly store: SessionStore;
  readonly sessions: Sessions;
  readonly clock: Clock;
}

export interface Site {
  readonly origin: string;
  readonly resaving: string;
}

/** What a slow request does once the session has been ended. */
export interface Act {
  readonly name: string;
  readonly steps: string;
  readonly resave?: boolean;
  /** It takes the user away: a logout is never late. */
  readonly isLogout?: boolean;
  /** Only a bridge that knows who is who can stop it. */
  readonly needsIdentity?: boolean;
}

export const ACTS: readonly Act[] = [
  { name: "saves a change", steps: "set:a" },
  { name: "saves by itself, and again at its end", steps: "set:a,save,set:b" },
  { name: "logs in again", steps: "set:a,login:ada" },
  { name: "deletes a key", steps: "set:other,save,delete:other" },
  { name: "deletes its user, which is a logout", steps: "delete:userId", isLogout: true },
  { name: "changes nothing and is touched", steps: "" },
  { name: "touches by itself", steps: "touch" },
  { name: "changes nothing and is resaved", steps: "", resave: true },
  {
    name: "regenerates and takes the user over",
    steps: "regenerate,login:ada",
    needsIdentity: true,
  },
  { name: "changes the cookie's maxAge alone", steps: "maxAge:60000" },
];

/** What ends a session while a request runs. */
export interface Ending {
  readonly name: string;
  /** How many sessions of the user are alive afterwards, under other tokens. */
  readonly left: number;
  readonly leavesTombstone: boolean;
  readonly end: (stage: Stage, browser: Visitor, user: string) => Promise<unknown>;
}

/** A memory store whose clock stands still is some milliseconds ahead of it after each `revokeUser`. */
const SECOND = 1000;

export const ENDINGS: readonly Ending[] = [
  {
    name: "a logout",
    left: 0,
    leavesTombstone: true,
    end: (_stage, browser) => browser.post("/logout"),
  },
  {
    name: "a logout everywhere",
    left: 0,
    leavesTombstone: true,
    end: ({ sessions }, _browser, user) => sessions.revokeAllForUser(user),
  },
  {
    name: "a logout from the page of devices",
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
    leavesTombstone: true,
    end: (_stage, browser, user) => browser.post(`/slow?do=regenerate,login:${user}`),
  },
  {
    name: "a rotation",
    left: 1,
    leavesTombstone: true,
    end: (_stage, browser) => browser.post("/slow?do=rotate"),
  },
  {
    name: "the logout of everybody",
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
  /** What the ended session's cookie shows afterwards. */
  readonly seen: string;
}

/** Logs a user in, lets a request run into the end of the session, and looks with the same cookie what is left. */
export async function race(
  slow: { readonly origin: string },
  act: Act,
  end: (browser: Visitor, user: string) => Promise<unknown>,
  user: string = randomUUID(),
): Promise<Outcome> {
  const browser = visitor(slow.origin);
  await browser.post(`/login?user=${user}`);
  const ended = browser.twin();
  const running = await startSlow(browser.twin(), act.steps.replace("login:ada", `login:${user}`));
  await end(browser.twin(), user);
  const { status } = await running.finish();
  return { status, seen: (await ended.get("/me")).text };
}

/** A race on a stage. Also counts the sessions of the user that are left. */
export async function raceOn(
  stage: Stage,
  act: Act,
  ending: Ending,
): Promise<Outcome & { readonly left: number }> {
  const origin = act.resave ? stage.slow.resaving : stage.slow.origin;
  const user = randomUUID();
  const end = (browser: Visitor): Promise<unknown> =>
    ending.end(stage, browser.twin(stage.other.origin), user);
  const outcome = await race({ origin }, act, end, user);
  return { ...outcome, left: (await stage.sessions.listForUser(user)).length };
}

export interface Running {
  readonly finish: () => Promise<Answer>;
}

/** Starts a request that has loaded its session and waits. */
export async function startSlow(browser: Visitor, steps: string, query = ""): Promise<Running> {
  const name = randomUUID();
  const answer = browser.post(`/slow?gate=${name}&do=${steps}${query}`);
  const cookieless = browser.twin();
  cookieless.cookies.clear();
  await cookieless.get(`/gate/reached?name=${name}`);
  return {
    finish: async () => {
      await cookieless.post(`/gate/open?name=${name}`);
      return answer;
    },
  };
}
