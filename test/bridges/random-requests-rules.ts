import { LOGOUTS, type PlanKind, type PlannedStep } from "./random-requests-plan.ts";

/** A request with its response. Instants are values of a counter. */
export interface SentRequest {
  readonly number: number;
  readonly server: number;
  readonly steps: readonly PlannedStep[];
  readonly begin: number;
  /** The token that the browser sent. */
  readonly sentToken: string | undefined;
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

/** What the application observed during a request. */
export interface Report {
  /** When the request reached the application. */
  readonly reached: number;
  /** The session's user at that instant. */
  readonly user: string | null;
  /** The session's data at that instant. */
  readonly entries: Readonly<Record<string, unknown>>;
  readonly taken: PlannedStep[];
  /** The users given to the bridge's `logIn`. */
  readonly loggedIn: string[];
  readonly refused: string[];
  readonly logoutsEverywhere: LogoutEverywhere[];
}

export interface LogoutEverywhere {
  readonly user: string | null;
  readonly keepsThis: boolean;
  readonly begin: number;
}

/** A request that succeeded. */
interface Success {
  readonly request: SentRequest;
  readonly begin: number;
  readonly end: number;
  readonly sentToken: string | undefined;
  readonly token: string | undefined;
  readonly report: Report;
}

/** Returns the token in a browser's cookies, without what the framework adds. `undefined`: there is none. */
export function tokenIn(cookies: ReadonlyMap<string, string>): string | undefined {
  const values = [...cookies.values()].map((value) => decodeURIComponent(value).replace(/^s:/, ""));
  return values.map((value) => TOKEN.exec(value)?.[0]).find((token) => token !== undefined);
}

const TOKEN = /(?:(?<![\w-])[\w-]{43}|[\w-]{22})\.[\w-]{43}/;

/**
 * Checks the rules that hold in every order in which the store may have received the calls.
 *
 * @param undisturbedFrom the number of the first request of the last part, in which the store neither delays
 *   nor fails, and requests run one after the other
 * @throws Error that lists all requests, if a rule is broken
 */
export function checkRules(
  all: readonly SentRequest[],
  { storeFails, hasPlainLogins }: PlanKind,
  undisturbedFrom: number,
): void {
  const fail = (rule: string, ...about: readonly SentRequest[]): never => {
    throw new Error(`${rule}\n${all.map((one) => describeRequest(one, about)).join("\n")}`);
  };
  const failed = all.find(
    ({ number, response }) => response?.status !== 200 && (!storeFails || number >= undisturbedFrom),
  );
  if (failed) fail(`a request got status ${failed.response?.status}: ${failed.response?.text}`, failed);
  const successes = all.flatMap((request): Success[] => {
    const { begin, sentToken, response } = request;
    if (response?.status !== 200 || !response.report) return [];
    const { end, token, report } = response;
    return [{ request, begin, end, sentToken, token, report }];
  });
  for (const success of successes) {
    checkUser(success);
    checkRefusal(success);
    if (!storeFails || success.request.number >= undisturbedFrom) checkLogin(success);
    if (!storeFails) checkChange(success);
  }

  /** Checks that the user whom a request found had logged in with its token, and had not logged out since. */
  function checkUser(view: Success): void {
    const { user, entries } = view.report;
    const id = idOf(view.sentToken);
    if (user === null) return;
    if (entries["mark"] !== undefined && entries["mark"] !== user) {
      fail("a request found data of another user's session", view.request);
    }
    const first = all.find(
      ({ sentToken, response }) => response?.token === view.sentToken && sentToken !== view.sentToken,
    );
    if (!first) return fail("a request found a user by a token that no response has set", view.request);
    if (!hasPlainLogins && first.response?.report?.user !== user && !mayLogIn(first, user)) {
      fail("a request found a user by a token from before the login", first, view.request);
    }
    for (const logout of successes.filter(({ end }) => end < view.begin)) {
      const { taken, loggedIn, logoutsEverywhere } = logout.report;
      // A request that logs in may then have another session than the one whose token it sent.
      const last = taken.at(-1);
      const isLogout = (last === "destroy" || last === "log out") && loggedIn.length === 0;
      if (isLogout && logout.report.user !== null && idOf(logout.sentToken) === id) {
        fail("a request found the user of a session that was logged out", logout.request, view.request);
      }
      const isKept = [idOf(logout.sentToken), idOf(logout.token)].includes(id);
      const ends = logoutsEverywhere.filter((one) => one.user === user && !(one.keepsThis && isKept));
      // If a request logs out everywhere and then logs in, its own login is the later one.
      const isOwnLogin = isLogin(taken.at(-1)) && mayLogIn(logout.request, user) && idOf(logout.token) === id;
      if (
        !isOwnLogin &&
        ends.some(({ begin }) => !all.some((login) => isLaterLogin(login, user, id, begin)))
      ) {
        fail(
          "a request found a user after log out everywhere, without a later login",
          logout.request,
          view.request,
        );
      }
      // A logout that deletes the user from the data: the session continues without its user.
      const isUnbound = taken.some(deletesUser) && logout.report.entries["userId"] === user;
      const isOwn = isUnbound && loggedIn.length === 0 && idOf(logout.sentToken) === id;
      if (
        isOwn &&
        !all.some((login) => login !== logout.request && isLaterLogin(login, user, id, logout.begin))
      ) {
        fail(
          "a request found a user who had logged out, without a later login",
          logout.request,
          view.request,
        );
      }
    }
  }

  /** Checks that a login is refused only for a "log out everywhere" that it overlaps or precedes. */
  function checkRefusal(login: Success): void {
    if (!login.report.refused.includes("logged-out-meanwhile")) return;
    const isExcused = all.some((other) => {
      const { server, steps, response, begin } = other;
      if (begin > login.end) return false;
      // A request that failed may have logged the user out. Two servers estimate the store's clock
      // separately.
      const isUnclear = response?.status !== 200 || server !== login.request.server;
      const isLater = (response?.end ?? 0) > login.begin;
      return isUnclear ? steps.some((step) => EVERYWHERE.has(step)) : isLater && mayLogOut(other, login);
    });
    if (!isExcused) fail("a login that began after log out everywhere was refused", login.request);
  }

  /** Checks that the next request finds the user of a login, if no other request overlapped that login. */
  function checkLogin(login: Success): void {
    const last = login.report.taken.findLast(changesUser);
    const isRefused = login.report.refused.length > 0 && login.request.number < undisturbedFrom;
    if (!isLogin(last) || isRefused) return;
    const isAlone = all.every(
      (other) =>
        other === login.request || other.begin > login.end || (other.response?.end ?? 0) < login.begin,
    );
    const next = successes.find(({ begin, sentToken }) => begin > login.end && sentToken === login.token);
    if (isAlone && next?.report.user !== last.logIn)
      fail("the request after a login did not find its user", login.request);
  }

  /** Checks that a change of a session is kept, if all other requests only save that session. */
  function checkChange(change: Success): void {
    if (!change.report.taken.includes("set") || !onlySaves(change.request)) return;
    for (const view of successes) {
      if (
        view.begin < change.end ||
        view.sentToken !== change.token ||
        view.report.user !== change.report.user
      )
        continue;
      const isOnlySaved = successes.every(
        (other) =>
          other.begin > view.end ||
          (other.report.logoutsEverywhere.length === 0 &&
            (idOf(other.sentToken) !== idOf(change.token) || onlySaves(other.request))),
      );
      const key = `k${change.request.number}`;
      if (isOnlySaved && !(key in view.report.entries))
        fail(`the change ${key} is lost`, change.request, view.request);
    }
  }
}

const EVERYWHERE: ReadonlySet<PlannedStep> = new Set(["log out everywhere", "log out everywhere else"]);

/**
 * Returns whether a request may have logged the user of a login out everywhere. If another request has just
 * replaced its token, it finds no user, but logs out the user of the session.
 */
function mayLogOut({ sentToken, response }: SentRequest, login: Success): boolean {
  const ended = response?.report?.logoutsEverywhere ?? [];
  return ended.some(({ user }) =>
    user === null ? sentToken !== undefined : login.report.loggedIn.includes(user),
  );
}

/**
 * Returns whether a login of a user in the session with this id may have begun after an instant. A login
 * begins at the latest when its request reaches the application, or after a "log out everywhere" of that
 * request.
 */
function isLaterLogin(request: SentRequest, user: string, id: string | undefined, instant: number): boolean {
  const { status, report, token } = request.response ?? {};
  const hasBegunBefore = report && report.reached < instant && report.logoutsEverywhere.length === 0;
  if (!mayLogIn(request, user) || hasBegunBefore) return false;
  return status !== 200 || [idOf(request.sentToken), idOf(token)].includes(id);
}

function mayLogIn({ steps }: SentRequest, user: string): boolean {
  return steps.some(
    (step) =>
      typeof step === "object" && (isLogin(step) ? step.logIn : "userId" in step && step.userId) === user,
  );
}

function isLogin(step: PlannedStep | undefined): step is { readonly logIn: string } {
  return typeof step === "object" && "logIn" in step;
}

/** Returns whether a step deletes the user from the data, which is a logout. */
function deletesUser(step: PlannedStep): boolean {
  return typeof step === "object" && "userId" in step && step.userId === null;
}

function changesUser(step: PlannedStep): boolean {
  if (typeof step === "object") return !("pause" in step);
  return step === "regenerate" || LOGOUTS.includes(step);
}

/**
 * Returns whether a request only changes data that name no user. "start to save" does not count: Fastify's
 * `isModified` misses changes that follow a save that is not awaited.
 */
function onlySaves({ steps }: SentRequest): boolean {
  return steps.every((step) =>
    typeof step === "object" ? "pause" in step : step === "set" || step === "save",
  );
}

/** Returns the session's id: the first part of a token, which rotations do not change. */
function idOf(token: string | undefined): string | undefined {
  return token?.split(".")[0];
}

function describeRequest(
  { number, server, steps, begin, sentToken, response }: SentRequest,
  about: readonly SentRequest[],
): string {
  const short = (token: string | undefined): string => token?.replaceAll(/([^.]{4})[^.]*/g, "$1") ?? "-";
  const { end, status, token, report } = response ?? {};
  const isAbout = about.some((one) => one.number === number);
  return `${isAbout ? ">" : " "} ${number} server ${server} ${begin}-${end} ${short(sentToken)} → ${short(token)} ${status} ${JSON.stringify(steps)} ${JSON.stringify(report)}`;
}
