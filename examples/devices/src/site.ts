import { setTimeout as sleep } from "node:timers/promises";
import { type Duration, ReauthenticationRequired, type Sessions, StoreError } from "@tenure/core";
import type { DeviceSession } from "./device-session.ts";
import type { Html } from "./html.ts";
import type { Logins } from "./logins.ts";
import { devicesPage } from "./pages/devices.ts";
import { failurePage } from "./pages/failure.ts";
import { noticeOf, type NoticeName } from "./pages/notice.ts";
import { racePage } from "./pages/race.ts";
import { signInPage } from "./pages/sign-in.ts";
import { signInAgainPage } from "./pages/sign-in-again.ts";
import { personOf } from "./people.ts";
import { runRace } from "./race/run-race.ts";

/** A request, translated from a framework's own. */
export interface Visit {
  readonly method: string;
  /** The path and query. */
  readonly url: string;
  readonly userAgent: string | undefined;
  /** The network address of the browser. */
  readonly address: string | undefined;
  /** The fields of the form that was posted. */
  readonly form: URLSearchParams;
  /** Whether the browser sent a cookie. Its session may be dead. */
  readonly hasCookie: boolean;
  /** The framework's session id, which is the token in the cookie. */
  readonly token: string | undefined;
  /** The framework's session object. The framework saves changes to it. */
  readonly session: DeviceSession;
  readonly logins: Logins;
}

/** `location`: a redirect. `page`: the page to show. `challenge`: the header `WWW-Authenticate`. */
export type Reply =
  | { readonly location: string }
  | {
      readonly status: number;
      readonly page: Html;
      readonly forgetsCookie?: boolean;
      readonly challenge?: string;
    };

/** The demo itself. The frameworks only load and save its sessions. */
export interface Site {
  respond(visit: Visit): Promise<Reply>;
  fail(error: unknown): Reply;
}

export interface SiteOptions {
  readonly sessions: Sessions<DeviceSession>;
  /** Where the sessions are kept, in words. */
  readonly place: string;
  /** What the slow request does before it saves. Default: waits for {@link SLOW}. */
  readonly work?: (() => Promise<void>) | undefined;
  /** How recent a login must be for logging out other devices. */
  readonly recent: Duration;
}

export function createSite({ sessions, place, work = waitSlowly, recent }: SiteOptions): Site {
  const routes: Readonly<Record<string, (visit: Visit) => Promise<Reply>>> = {
    async "GET /"(visit) {
      const notice = noticeOf(queryOf(visit).get("notice"));
      const person = personOf(visit.logins.userId);
      if (!person) {
        // Logged out from another device, or not used for too long.
        const ended = visit.hasCookie ? noticeOf("ended") : undefined;
        // Without a cookie there is nothing to clear, and another tab may be logging in.
        return { ...show(signInPage({ notice: notice ?? ended, place })), forgetsCookie: visit.hasCookie };
      }
      const devices = await sessions.listForUser(person.id);
      const { note } = visit.session;
      return show(
        devicesPage({ person, devices, current: idOf(visit), note, notice, now: Date.now(), place }),
      );
    },

    async "POST /sign-in"(visit) {
      const person = personOf(visit.form.get("person"));
      if (!person) return home("choose-a-person");
      return home((await logIn(visit, person.id)) ? undefined : "ended");
    },

    async "POST /log-out"(visit) {
      const id = visit.form.get("id") ?? "";
      if (visit.logins.userId === null) return home();
      if (id === idOf(visit)) {
        await visit.logins.logOut();
        return home("logged-out");
      }
      const userId = await recentUser(visit);
      if (userId === null) return home("ended");
      // `userId`: the id comes from the browser, and must not end somebody else's session. `actor`: for an
      // audit log.
      await sessions.revokeById(id, { userId, actor: userId });
      return home("logged-out-one");
    },

    async "POST /log-out-others"(visit) {
      if (visit.logins.userId === null) return home();
      if ((await recentUser(visit)) === null) return home("ended");
      await visit.logins.logOutEverywhere({ keepThis: true });
      return home("logged-out-others");
    },

    async "POST /log-out-everywhere"({ logins }) {
      if (logins.userId === null) return home();
      await logins.logOutEverywhere();
      return home("logged-out-everywhere");
    },

    async "POST /slow-note"({ logins, session }) {
      if (logins.userId === null) return home();
      await work();
      session.note = `saved at ${new Date().toISOString().slice(11, 19)} UTC`;
      return home();
    },

    async "GET /race"({ logins }) {
      return show(racePage({ person: personOf(logins.userId), place, slow: SLOW }));
    },

    async "POST /race"({ logins }) {
      const results = await runRace(sessions);
      return show(racePage({ person: personOf(logins.userId), place, slow: SLOW, results }));
    },
  };

  /**
   * Returns the user, who must have logged in recently or log in with this form (of {@link signInAgainPage}).
   * `null`: the session has ended.
   *
   * @throws ReauthenticationRequired
   */
  async function recentUser(visit: Visit): Promise<string | null> {
    const { userId } = visit.logins;
    if (userId !== null && visit.form.get("person") === userId) {
      return (await logIn(visit, userId)) ? userId : null;
    }
    const session = await sessions.get(visit.token);
    if (session === null || session.userId !== userId) return null;
    sessions.requireRecent(session, recent);
    return userId;
  }

  function requestLogin(visit: Visit, { status, challenge }: ReauthenticationRequired): Reply {
    const person = personOf(visit.logins.userId);
    if (!person) return home("ended");
    const page = signInAgainPage({ person, action: pathOf(visit), id: visit.form.get("id"), place });
    return { status, page, challenge };
  }

  function idOf({ token }: Visit): string | null {
    return token === undefined ? null : sessions.idOf(token);
  }

  return {
    async respond(visit) {
      // For a HEAD, the server omits the body.
      const method = visit.method === "HEAD" ? "GET" : visit.method;
      const name = `${method} ${pathOf(visit)}`;
      const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
      const missing = { title: "No such page", text: "There is nothing here.", place };
      if (!route) return { status: 404, page: failurePage(missing) };
      try {
        return await route(visit);
      } catch (error) {
        if (error instanceof ReauthenticationRequired) return requestLogin(visit, error);
        throw error;
      }
    },

    fail(error) {
      const refused = refusalOf(error);
      if (refused !== undefined) {
        const page = failurePage({ title: "Refused", text: "No browser sends such a request.", place });
        return { status: refused, page };
      }
      console.error(error);
      const text =
        error instanceof StoreError
          ? `Sessions are kept in ${place}, which does not respond. Nobody was logged out: try again when it is back.`
          : "Something went wrong. See the terminal.";
      return { status: 500, page: failurePage({ title: "That did not work", text, place }) };
    },
  };
}

/** Logs a person in. Resolves to whether the login succeeded. */
async function logIn(visit: Visit, userId: string): Promise<boolean> {
  // The login gives the session a new token, so a planted token logs nobody in.
  const { refused } = await visit.logins.logIn(userId);
  if (refused !== null) return false;
  visit.session.device = { agent: visit.userAgent?.slice(0, 512) ?? "", address: visit.address ?? "" };
  return true;
}

/** How long the slow request takes, milliseconds: enough to switch to the other browser. */
const SLOW = 5000;

function waitSlowly(): Promise<void> {
  return sleep(SLOW, undefined, { ref: false });
}

/**
 * Returns the status if the framework itself refused the request, for example for an unknown body type.
 * `undefined`: the demo failed.
 */
function refusalOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("statusCode" in error)) return undefined;
  const { statusCode } = error;
  return typeof statusCode === "number" && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}

function show(page: Html): { status: number; page: Html } {
  return { status: 200, page };
}

function home(notice?: NoticeName): Reply {
  return { location: notice === undefined ? "/" : `/?notice=${notice}` };
}

function pathOf({ url }: Visit): string {
  return url.split("?")[0] ?? url;
}

function queryOf({ url }: Visit): URLSearchParams {
  return new URL(url, "http://127.0.0.1").searchParams;
}
