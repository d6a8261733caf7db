import { setTimeout as sleep } from "node:timers/promises";
import { visitor } from "@tenure/cookie-client";
import { Sessions, StoreError, type SessionStore, type StoreOperation } from "@tenure/core";
import { type Application, createApplication, type SessionAdapter, type Step } from "./application.ts";
import type { Framework } from "./framework.ts";
import { createGates } from "./gates.ts";
import {
  LOGOUTS,
  type Plan,
  type PlanKind,
  type PlannedStep,
  type Round,
  USERS,
} from "./random-requests-plan.ts";
import { checkRules, type Report, type SentRequest, tokenIn } from "./random-requests-rules.ts";

/** Runs a plan. If a rule is broken, rejects with an error that lists every request and response. */
export async function runPlan(framework: Framework, store: SessionStore, plan: Plan): Promise<void> {
  const { store: disturbedStore, stopDisturbing } = disturbed(store, plan);
  const reports = new Reports();
  const sessions = new Sessions({ store: disturbedStore });
  const sites = await Promise.all(
    [sessions, new Sessions({ store: disturbedStore })].map((own) =>
      framework.serve(own, reportingApplication(reports, plan.kind)),
    ),
  );
  const origins = sites.map(({ origin }) => origin);
  const history = new History(origins, sessions, reports);
  try {
    for (const round of plan.rounds) await history.runRound(round);
    stopDisturbing();
    const undisturbedFrom = history.requests.length;
    await history.logEveryoneOutAndIn();
    checkRules(history.requests, plan.kind, undisturbedFrom);
  } finally {
    await Promise.all(sites.map((site) => site.close()));
  }
}

/** What the applications report of each request, by the number of the request. */
class Reports extends Map<number, Report> {
  #clock = 0;

  /** Returns the next instant. */
  tick(): number {
    this.#clock += 1;
    return this.#clock;
  }
}

class History {
  readonly requests: SentRequest[] = [];
  readonly #browsers: Map<string, string>[] = [new Map(), new Map()];
  /** The cookies of the first browser that was given each token. */
  readonly #cookiesByToken = new Map<string, ReadonlyMap<string, string>>();
  readonly #origins: readonly string[];
  readonly #sessions: Sessions;
  readonly #reports: Reports;

  constructor(origins: readonly string[], sessions: Sessions, reports: Reports) {
    this.#origins = origins;
    this.#sessions = sessions;
    this.#reports = reports;
  }

  async runRound({ copies, requests }: Round): Promise<void> {
    if (copies) this.#browsers[copies[1]] = new Map(this.#browsers[copies[0]]);
    await Promise.all(
      requests.map((one) =>
        "loggedOutUser" in one
          ? this.#logOutEverywhere(one.loggedOutUser)
          : this.#send(this.#browsers[one.browser]!, one.server, one.steps),
      ),
    );
    await this.#tryTokens();
  }

  /** Logs all users out everywhere, and then logs a user in again with each browser. */
  async logEveryoneOutAndIn(): Promise<void> {
    await this.#tryTokens();
    for (const user of USERS) await this.#logOutEverywhere(user);
    await this.#tryTokens();
    for (const browser of this.#browsers) await this.#send(browser, 0, [{ logIn: "ada" }]);
    await this.#tryTokens();
  }

  async #tryTokens(): Promise<void> {
    for (const cookies of [...this.#cookiesByToken.values()].slice(-TRIED_TOKENS))
      await this.#send(new Map(cookies), 0, []);
  }

  async #logOutEverywhere(user: string): Promise<void> {
    const begin = this.#reports.tick();
    const sent: SentRequest = {
      number: this.requests.length,
      server: 0,
      steps: ["log out everywhere"],
      begin,
      sentToken: undefined,
    };
    this.requests.push(sent);
    const failure: unknown = await this.#sessions.revokeAllForUser(user).then(() => undefined, String);
    const report = { ...newReport(begin), logoutsEverywhere: [{ user, keepsThis: false, begin }] };
    const status = failure === undefined ? 200 : 500;
    sent.response = { end: this.#reports.tick(), status, text: String(failure), token: undefined, report };
  }

  async #send(cookies: Map<string, string>, server: number, steps: readonly PlannedStep[]): Promise<void> {
    const client = visitor(this.#origins[server]!, cookies);
    const before = new Map(cookies);
    const begin = this.#reports.tick();
    const sent: SentRequest = {
      number: this.requests.length,
      server,
      steps,
      begin,
      sentToken: tokenIn(cookies),
    };
    this.requests.push(sent);
    const { status, text } = await client
      .post("/", [{ request: sent.number }, ...steps])
      // If the store fails after the headers were sent, the framework truncates the response.
      .catch((error: unknown) => ({ status: 0, text: String(error) }));
    const token = tokenIn(client.cookies);
    sent.response = {
      end: this.#reports.tick(),
      status,
      text,
      token,
      report: this.#reports.get(sent.number),
    };
    if (token !== undefined && !this.#cookiesByToken.has(token))
      this.#cookiesByToken.set(token, new Map(client.cookies));
    for (const name of new Set([...before.keys(), ...client.cookies.keys()])) {
      const value = client.cookies.get(name);
      if (value === before.get(name)) continue;
      if (value === undefined) cookies.delete(name);
      else cookies.set(name, value);
    }
  }
}

function newReport(reached: number): Report {
  return { reached, user: null, entries: {}, taken: [], loggedIn: [], refused: [], logoutsEverywhere: [] };
}

const TRIED_TOKENS = 8;

/** Returns an application that takes the steps of a request and reports what the session contained. */
function reportingApplication(reports: Reports, { marksUser }: PlanKind): Application {
  const inner = createApplication(createGates());
  return {
    async run(session, given) {
      const [{ request }, ...steps] = given as unknown as readonly [{ request: number }, ...PlannedStep[]];
      const report: Report = {
        ...newReport(reports.tick()),
        user: session.user,
        entries: { ...session.entries() },
      };
      reports.set(request, report);
      const reported = reportedSession(session, report, reports);
      const saves: Promise<void>[] = [];
      for (const step of steps) {
        report.taken.push(step);
        const isOver = (await take(step)) === "over";
        if (isOver && !LOGOUTS.includes(step)) break;
        if (marksUser && !isOver && session.user !== null) session.set("mark", session.user);
      }
      await Promise.all(saves);
      return {};

      async function take(step: PlannedStep): Promise<"over" | void> {
        if (step === "start to save") return startToSave();
        // A session that is not stored cannot be reloaded.
        if (step === "reload") return session.reload?.().catch(() => undefined);
        if (step === "set") return session.set(`k${request}`, request);
        if (typeof step === "object" && "pause" in step) return waitForTurns(step.pause);
        // Without a user, it is a logout.
        const isLogout = step === "log out everywhere else" && session.user === null;
        const entries = await inner.run(reported, [isLogout ? "log out everywhere" : stepOf(step)]);
        return entries === null ? "over" : undefined;
      }

      function startToSave(): void {
        const saving = session.save();
        saving.catch(() => undefined);
        saves.push(saving);
      }
    },
  };
}

function stepOf(step: Exclude<PlannedStep, "set" | { readonly pause: number }>): Step {
  if (typeof step !== "object" || "logIn" in step) return step;
  return step.userId === null ? { delete: "userId" } : { set: { userId: step.userId } };
}

function reportedSession(session: SessionAdapter, report: Report, reports: Reports): SessionAdapter {
  const logIn: SessionAdapter["logIn"] = async (user, options) => {
    report.loggedIn.push(user);
    const refused = await session.logIn(user, options);
    if (refused !== null) report.refused.push(refused);
    return refused;
  };
  const logOutEverywhere: SessionAdapter["logOutEverywhere"] = (options) => {
    const begin = reports.tick();
    report.logoutsEverywhere.push({ user: session.user, keepsThis: options.keepThis === true, begin });
    return session.logOutEverywhere(options);
  };
  return Object.create(session, {
    logIn: { value: logIn },
    logOutEverywhere: { value: logOutEverywhere },
  }) as SessionAdapter;
}

/**
 * Returns a store whose calls wait for up to two turns of the event loop before and after they take effect,
 * and may fail at either point.
 */
function disturbed(
  store: SessionStore,
  { seed, kind: { storeFails } }: Plan,
): { readonly store: SessionStore; readonly stopDisturbing: () => void } {
  let state = seed;
  let isDisturbing = true;
  const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  const disturb = async (call: string): Promise<void> => {
    if (!isDisturbing) return;
    await waitForTurns(next() % 3);
    // `now` never fails, because the rules depend on when a login began, which only the clock can say.
    if (storeFails && call !== "now" && next() % 25 === 0)
      throw new StoreError(call as StoreOperation, "down");
  };
  const proxy = new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function" || name === "scan") return method;
      return async (...args: unknown[]): Promise<unknown> => {
        await disturb(String(name));
        const result: unknown = await method.apply(target, args);
        await disturb(String(name));
        return result;
      };
    },
  });
  return { store: proxy, stopDisturbing: () => void (isDisturbing = false) };
}

async function waitForTurns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await sleep(0);
}
