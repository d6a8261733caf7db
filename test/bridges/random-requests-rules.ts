import type { Step } from "./application.ts";

/** What a random history may contain. */
export interface Kind {
  /** Whether some calls of the store fail, before or after they take effect. */
  readonly isFailing: boolean;
  /** Whether the application also logs in by writing a user to the data, which keeps the token. */
  readonly isPlain: boolean;
  /** Whether each step that leaves a user in the session also writes that user's name to the data. */
  readonly isMarking: boolean;
}

/** `"set"` sets a key that is named after the request. */
export type PlannedStep =
  | Exclude<Step, object>
  | { readonly logIn: string }
  | { readonly userId: string | null }
  | { readonly pause: number }
  | "set";

export const LOGOUTS: readonly PlannedStep[] = ["destroy", "log out", "log out everywhere"];

/** A request, its token, and its response. Instants are values of a counter. */
export interface Seen {
  /** The number of the request. */
  readonly at: number;
  readonly server: number;
  readonly steps: readonly PlannedStep[];
  readonly begin: number;
  readonly sent: string | undefined;
  response?: {
    readonly end: number;
    readonly status: number;
    readonly text: string;
    /** The token that the browser has afterwards. */
    readonly token: string | undefined;
    /** Absent: the request did not reach the application. */
    readonly report: Report | undefined;
  };
}

/** What the application saw during a request. */
export interface Report {
  /** When the request began. */
  readonly user: string | null;
  readonly entries: Readonly<Record<string, unknown>>;
  readonly taken: PlannedStep[];
  /** The users given to the bridge's `logIn`. */
  readonly loggedIn: string[];
  readonly refused: string[];
  readonly everywhere: { readonly user: string | null; readonly keepsThis: boolean }[];
}

/** A request that succeeded. */
interface Done {
  readonly seen: Seen;
  readonly begin: number;
  readonly end: number;
  readonly sent: string | undefined;
  readonly token: string | undefined;
  readonly report: Report;
}

/** The token in a browser's cookies, whatever the framework adds to it. */
export function tokenIn(cookies: ReadonlyMap<string, string>): string | undefined {
  const values = [...cookies.values()].map((value) => decodeURIComponent(value).replace(/^s:/, ""));
  return values.map((value) => TOKEN.exec(value)?.[0]).find((token) => token !== undefined);
}

const TOKEN = /(?:(?<![\w-])[\w-]{43}|[\w-]{22})\.[\w-]{43}/;

/**
 * Checks what must hold in every order in which the store may have seen the calls.
 *
 * @throws Error with all requests, if a rule is broken
 */
export function judge(all: readonly Seen[], { isFailing, isPlain }: Kind): void {
  const fail = (rule: string, ...about: readonly Seen[]): never => {
    throw new Error(`${rule}\n${all.map((one) => line(one, about)).join("\n")}`);
  };
  const failed = all.find(({ response }) => response?.status !== 200);
  if (failed && !isFailing)
    fail(`a request has the status ${failed.response?.status}: ${failed.response?.text}`, failed);
  const done = all.flatMap((seen) => {
    const { response } = seen;
    if (response?.status !== 200 || !response.report) return [];
    return [
      {
        seen,
        begin: seen.begin,
        end: response.end,
        sent: seen.sent,
        token: response.token,
        report: response.report,
      },
    ];
  });
  for (const look of done) judgeUser(look);
  if (isFailing) return;
  for (const one of done) {
    judgeLogin(one);
    judgeChange(one);
  }

  /** Checks that the user who is shown logged in with this token and has not logged out since. */
  function judgeUser(look: Done): void {
    const { user, entries } = look.report;
    const id = idOf(look.sent);
    if (user === null) return;
    if (entries["mark"] !== undefined && entries["mark"] !== user) {
      fail("a user is shown what another user's session held", look.seen);
    }
    const first = all.find(({ sent, response }) => response?.token === look.sent && sent !== look.sent);
    if (!first) return fail("a user is shown for a token that no response has set", look.seen);
    if (!isPlain && first.response?.report?.user !== user && !mayLogIn(first, user)) {
      fail("a user is shown for a token that somebody had before the login", first, look.seen);
    }
    for (const logout of done.filter(({ end }) => end < look.begin)) {
      const { taken, loggedIn, everywhere } = logout.report;
      // After its own login, a request may have another session than the one that it came with.
      const last = taken.at(-1);
      const isLogout = (last === "destroy" || last === "log out") && loggedIn.length === 0;
      if (isLogout && logout.report.user !== null && idOf(logout.sent) === id) {
        fail("a session that was logged out is shown", logout.seen, look.seen);
      }
      const isKept = [idOf(logout.sent), idOf(logout.token)].includes(id);
      const isEnded = everywhere.some((one) => one.user === user && !(one.keepsThis && isKept));
      if (isEnded && !all.some((login) => isLaterLogin(login, user, id, logout.begin))) {
        fail("a user is shown after log out everywhere, without a later login", logout.seen, look.seen);
      }
    }
  }

  /** Checks that a login holds if nothing else was under way. */
  function judgeLogin(one: Done): void {
    const last = one.report.taken.findLast(changesUser);
    if (!isLogin(last) || one.report.refused.length > 0) return;
    const isAlone = all.every(
      (other) => other === one.seen || other.begin > one.end || (other.response?.end ?? 0) < one.begin,
    );
    const next = done.find(({ begin, sent }) => begin > one.end && sent === one.token);
    if (isAlone && next?.report.user !== last.logIn) fail("a login is not seen afterwards", one.seen);
  }

  /** Checks that a change of a session is kept if other requests only save that session. */
  function judgeChange(one: Done): void {
    if (!one.report.taken.includes("set") || !onlySaves(one.seen)) return;
    for (const look of done) {
      if (look.begin < one.end || look.sent !== one.token || look.report.user !== one.report.user) continue;
      const isLeftAlone = done.every(
        (other) =>
          other.begin > look.end ||
          (other.report.everywhere.length === 0 &&
            (idOf(other.sent) !== idOf(one.token) || onlySaves(other.seen))),
      );
      const key = `k${one.seen.at}`;
      if (isLeftAlone && !(key in look.report.entries))
        fail(`the change ${key} is lost`, one.seen, look.seen);
    }
  }
}

/**
 * Returns whether a request that began after an instant may have logged a user in, in the session with this
 * id.
 */
function isLaterLogin(one: Seen, user: string, id: string | undefined, instant: number): boolean {
  if (one.begin < instant || !mayLogIn(one, user)) return false;
  return one.response?.status !== 200 || [idOf(one.sent), idOf(one.response.token)].includes(id);
}

function mayLogIn({ steps }: Seen, user: string): boolean {
  return steps.some(
    (step) =>
      typeof step === "object" && (isLogin(step) ? step.logIn : "userId" in step && step.userId) === user,
  );
}

function isLogin(step: PlannedStep | undefined): step is { readonly logIn: string } {
  return typeof step === "object" && "logIn" in step;
}

function changesUser(step: PlannedStep): boolean {
  if (typeof step === "object") return !("pause" in step);
  return step === "regenerate" || LOGOUTS.includes(step);
}

/**
 * Returns whether a request only changes data that name no user. Fastify's `isModified` misses changes after
 * a save that is not awaited.
 */
function onlySaves({ steps }: Seen): boolean {
  return steps.every((step) =>
    typeof step === "object" ? "pause" in step : step === "set" || step === "save",
  );
}

/** Returns the session's id: the first part of a token, which rotations do not change. */
function idOf(token: string | undefined): string | undefined {
  return token?.split(".")[0];
}

function line({ at, server, steps, begin, sent, response }: Seen, about: readonly Seen[]): string {
  const short = (token: string | undefined): string => token?.replaceAll(/([^.]{4})[^.]*/g, "$1") ?? "-";
  const { end, status, token, report } = response ?? {};
  const isAbout = about.some((one) => one.at === at);
  return `${isAbout ? ">" : " "} ${at} server ${server} ${begin}-${end} ${short(sent)} → ${short(token)} ${status} ${JSON.stringify(steps)} ${JSON.stringify(report)}`;
}
