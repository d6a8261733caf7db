import { type Kind, LOGOUTS, type PlannedStep } from "./random-requests-plan.ts";

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
  /** When the application began with the request. */
  readonly reached: number;
  /** At that instant. */
  readonly user: string | null;
  readonly entries: Readonly<Record<string, unknown>>;
  readonly taken: PlannedStep[];
  /** The users given to the bridge's `logIn`. */
  readonly loggedIn: string[];
  readonly refused: string[];
  readonly everywhere: Everywhere[];
}

/** A user is logged out everywhere. */
export interface Everywhere {
  readonly user: string | null;
  readonly keepsThis: boolean;
  readonly begin: number;
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

/** Returns the token in a browser's cookies, whatever the framework adds to it. `undefined`: there is none. */
export function tokenIn(cookies: ReadonlyMap<string, string>): string | undefined {
  const values = [...cookies.values()].map((value) => decodeURIComponent(value).replace(/^s:/, ""));
  return values.map((value) => TOKEN.exec(value)?.[0]).find((token) => token !== undefined);
}

const TOKEN = /(?:(?<![\w-])[\w-]{43}|[\w-]{22})\.[\w-]{43}/;

/**
 * Checks what must hold in every order in which the store may have seen the calls.
 *
 * @param calmFrom the number of the first request of the end, in which the store neither delays nor fails and
 *   requests follow one another
 * @throws Error with all requests, if a rule is broken
 */
export function judge(all: readonly Seen[], { isFailing, isPlain }: Kind, calmFrom: number): void {
  const fail = (rule: string, ...about: readonly Seen[]): never => {
    throw new Error(`${rule}\n${all.map((one) => line(one, about)).join("\n")}`);
  };
  const failed = all.find(({ at, response }) => response?.status !== 200 && (!isFailing || at >= calmFrom));
  if (failed) fail(`a request has the status ${failed.response?.status}: ${failed.response?.text}`, failed);
  const done = all.flatMap((seen) => {
    const { begin, sent, response } = seen;
    if (response?.status !== 200 || !response.report) return [];
    const { end, token, report } = response;
    return [{ seen, begin, end, sent, token, report }];
  });
  for (const one of done) {
    judgeUser(one);
    judgeRefusal(one);
    if (!isFailing || one.seen.at >= calmFrom) judgeLogin(one);
    if (!isFailing) judgeChange(one);
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
      const ends = everywhere.filter((one) => one.user === user && !(one.keepsThis && isKept));
      // The login of a request that has logged out everywhere before is later.
      const isOwnLogin = isLogin(taken.at(-1)) && mayLogIn(logout.seen, user) && idOf(logout.token) === id;
      if (
        !isOwnLogin &&
        ends.some(({ begin }) => !all.some((login) => isLaterLogin(login, user, id, begin)))
      ) {
        fail("a user is shown after log out everywhere, without a later login", logout.seen, look.seen);
      }
      // A logout by the data: the session goes on without its user.
      const isUnbound = taken.some(unbinds) && logout.report.entries["userId"] === user;
      const isOwn = isUnbound && loggedIn.length === 0 && idOf(logout.sent) === id;
      if (
        isOwn &&
        !all.some((login) => login !== logout.seen && isLaterLogin(login, user, id, logout.begin))
      ) {
        fail("a user who logged out is shown, without a later login", logout.seen, look.seen);
      }
    }
  }

  /** Checks that a login is refused only for a "log out everywhere" that it overlaps or precedes. */
  function judgeRefusal(login: Done): void {
    if (!login.report.refused.includes("logged-out-meanwhile")) return;
    const isExcused = all.some(({ server, steps, response, begin }) => {
      if (begin > login.end) return false;
      // A request that failed may have logged somebody out. The clocks of two servers are estimated apart.
      const isUnclear = response?.status !== 200 || server !== login.seen.server;
      const isLater = (response?.end ?? 0) > login.begin;
      return isUnclear
        ? steps.some((step) => EVERYWHERE.has(step))
        : isLater && logsOut(response?.report, login);
    });
    if (!isExcused) fail("a login is refused that began after log out everywhere", login.seen);
  }

  /** Checks that a login holds if nothing else was under way. */
  function judgeLogin(one: Done): void {
    const last = one.report.taken.findLast(changesUser);
    const isRefused = one.report.refused.length > 0 && one.seen.at < calmFrom;
    if (!isLogin(last) || isRefused) return;
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

const EVERYWHERE: ReadonlySet<PlannedStep> = new Set(["log out everywhere", "log out everywhere else"]);

function logsOut(report: Report | undefined, login: Done): boolean {
  return (
    report?.everywhere.some(({ user }) => user !== null && login.report.loggedIn.includes(user)) === true
  );
}

/**
 * Returns whether a login of a user may have begun after an instant, in the session with this id. It begins
 * when its request reaches the application, at the latest, or after a "log out everywhere" of that request.
 */
function isLaterLogin(one: Seen, user: string, id: string | undefined, instant: number): boolean {
  const { status, report, token } = one.response ?? {};
  const hasBegunBefore = report && report.reached < instant && report.everywhere.length === 0;
  if (!mayLogIn(one, user) || hasBegunBefore) return false;
  return status !== 200 || [idOf(one.sent), idOf(token)].includes(id);
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

/** Returns whether a step logs out by the data. */
function unbinds(step: PlannedStep): boolean {
  return typeof step === "object" && "userId" in step && step.userId === null;
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
