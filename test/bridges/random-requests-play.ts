import { setTimeout as sleep } from "node:timers/promises";
import { visitor } from "@tenure/cookie-client";
import { Sessions, StoreError, type SessionStore, type StoreOperation } from "@tenure/core";
import { type Application, application, type SessionInHand, type Step } from "./application.ts";
import type { Framework } from "./framework.ts";
import { gates } from "./gates.ts";
import { LOGOUTS, type Plan, type PlannedStep, type Round, USERS } from "./random-requests-plan.ts";
import { judge, type Report, type Seen, tokenIn } from "./random-requests-rules.ts";

/** Carries out a plan. Rejects with every request and response if a rule is broken. */
export async function play(framework: Framework, store: SessionStore, plan: Plan): Promise<void> {
  const { store: disturbedStore, calm } = disturbed(store, plan);
  const reports = new Reports();
  const sessions = new Sessions({ store: disturbedStore });
  const serve = (own: Sessions) => framework.serve(own, reporting(reports, plan));
  const sites = await Promise.all([serve(sessions), serve(new Sessions({ store: disturbedStore }))]);
  const origins = sites.map(({ origin }) => origin);
  const history = new History(origins, sessions, reports);
  try {
    for (const round of plan.rounds) await history.carryOut(round);
    calm();
    const calmFrom = history.seen.length;
    await history.endInOrder();
    judge(history.seen, plan, calmFrom);
  } finally {
    await Promise.all(sites.map((site) => site.close()));
  }
}

/** What applications report of their requests, by the number of the request. */
class Reports extends Map<number, Report> {
  #clock = 0;

  /** The next instant. */
  tick(): number {
    this.#clock += 1;
    return this.#clock;
  }
}

class History {
  readonly seen: Seen[] = [];
  readonly #browsers: Map<string, string>[] = [new Map(), new Map()];
  /** The cookies that came with each token. */
  readonly #given = new Map<string, ReadonlyMap<string, string>>();
  readonly #origins: readonly string[];
  readonly #sessions: Sessions;
  readonly #reports: Reports;

  constructor(origins: readonly string[], sessions: Sessions, reports: Reports) {
    this.#origins = origins;
    this.#sessions = sessions;
    this.#reports = reports;
  }

  async carryOut({ copies, requests }: Round): Promise<void> {
    if (copies) this.#browsers[copies[1]] = new Map(this.#browsers[copies[0]]);
    await Promise.all(
      requests.map((one) =>
        "everywhere" in one
          ? this.#logOutEverywhere(one.everywhere)
          : this.#ask(this.#browsers[one.browser]!, one.server, one.steps),
      ),
    );
    await this.#tryTokens();
  }

  /** Everybody is logged out, and logs in again. */
  async endInOrder(): Promise<void> {
    await this.#tryTokens();
    for (const user of USERS) await this.#logOutEverywhere(user);
    await this.#tryTokens();
    for (const browser of this.#browsers) await this.#ask(browser, 0, [{ logIn: "ada" }]);
    await this.#tryTokens();
  }

  async #tryTokens(): Promise<void> {
    for (const cookies of [...this.#given.values()].slice(-TOKENS)) await this.#ask(new Map(cookies), 0, []);
  }

  async #logOutEverywhere(user: string): Promise<void> {
    const begin = this.#reports.tick();
    const one: Seen = {
      at: this.seen.length,
      server: 0,
      steps: ["log out everywhere"],
      begin,
      sent: undefined,
    };
    this.seen.push(one);
    const failure: unknown = await this.#sessions.revokeAllForUser(user).then(() => undefined, String);
    const report = { ...newReport(begin), everywhere: [{ user, keepsThis: false, begin }] };
    const status = failure === undefined ? 200 : 500;
    one.response = { end: this.#reports.tick(), status, text: String(failure), token: undefined, report };
  }

  async #ask(jar: Map<string, string>, server: number, steps: readonly PlannedStep[]): Promise<void> {
    const client = visitor(this.#origins[server]!, jar);
    const before = new Map(jar);
    const begin = this.#reports.tick();
    const one: Seen = { at: this.seen.length, server, steps, begin, sent: tokenIn(jar) };
    this.seen.push(one);
    const { status, text } = await client
      .post("/", [{ request: one.at }, ...steps])
      // A framework cuts the response if the store fails after the headers.
      .catch((error: unknown) => ({ status: 0, text: String(error) }));
    const token = tokenIn(client.cookies);
    one.response = { end: this.#reports.tick(), status, text, token, report: this.#reports.get(one.at) };
    if (token !== undefined && !this.#given.has(token)) this.#given.set(token, new Map(client.cookies));
    for (const name of new Set([...before.keys(), ...client.cookies.keys()])) {
      const value = client.cookies.get(name);
      if (value === before.get(name)) continue;
      if (value === undefined) jar.delete(name);
      else jar.set(name, value);
    }
  }
}

function newReport(reached: number): Report {
  return { reached, user: null, entries: {}, taken: [], loggedIn: [], refused: [], everywhere: [] };
}

const TOKENS = 8;

/** Returns an application that takes the steps of a request and reports what the session showed. */
function reporting(reports: Reports, { isMarking }: Plan): Application {
  const inner = application(gates());
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
        if (isMarking && !isOver && session.user !== null) session.set("mark", session.user);
      }
      await Promise.all(saves);
      return {};

      async function take(step: PlannedStep): Promise<"over" | void> {
        if (step === "start to save") return startToSave();
        // A session that is not stored cannot be reloaded.
        if (step === "reload") return session.reload?.().catch(() => undefined);
        if (step === "set") return session.set(`k${request}`, request);
        if (typeof step === "object" && "pause" in step) return turns(step.pause);
        // Without a user it is a logout.
        const isLogout = step === "log out everywhere else" && session.user === null;
        const shown = await inner.run(reported, [isLogout ? "log out everywhere" : stepOf(step)]);
        return shown === null ? "over" : undefined;
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

function reportedSession(session: SessionInHand, report: Report, reports: Reports): SessionInHand {
  const logIn: SessionInHand["logIn"] = async (user, options) => {
    report.loggedIn.push(user);
    const refused = await session.logIn(user, options);
    if (refused !== null) report.refused.push(refused);
    return refused;
  };
  const logOutEverywhere: SessionInHand["logOutEverywhere"] = (options) => {
    const begin = reports.tick();
    report.everywhere.push({ user: session.user, keepsThis: options.keepThis === true, begin });
    return session.logOutEverywhere(options);
  };
  return Object.create(session, {
    logIn: { value: logIn },
    logOutEverywhere: { value: logOutEverywhere },
  }) as SessionInHand;
}

/**
 * Returns a store whose calls wait for a few turns of the event loop before and after they take effect, and
 * may fail.
 */
function disturbed(
  store: SessionStore,
  { delays, isFailing }: Plan,
): { readonly store: SessionStore; readonly calm: () => void } {
  let state = delays;
  let isCalm = false;
  const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  const disturb = async (call: string): Promise<void> => {
    if (isCalm) return;
    await turns(next() % 3);
    // The rules need to know when a login began, which only the clock can say.
    if (isFailing && call !== "now" && next() % 25 === 0)
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
  return { store: proxy, calm: () => void (isCalm = true) };
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await sleep(0);
}
