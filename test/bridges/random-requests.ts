import { setTimeout as sleep } from "node:timers/promises";
import { visitor } from "@tenure/cookie-client";
import { Sessions, StoreError, type SessionStore, type StoreOperation } from "@tenure/core";
import * as fc from "fast-check";
import { type Application, application, type SessionInHand, type Step } from "./application.ts";
import type { Framework } from "./framework.ts";
import { gates } from "./gates.ts";
import {
  judge,
  type Kind,
  LOGOUTS,
  type PlannedStep,
  type Report,
  type Seen,
  tokenIn,
} from "./random-requests-rules.ts";

/**
 * Random requests of two browsers to two servers over one store, in rounds. The requests of a round run at the same time. After each
 * round, every token that a browser was given is tried.
 */
export interface Plan extends Kind {
  readonly rounds: readonly Round[];
  /** Seeds the delays and the failures of the store. */
  readonly delays: number;
}

interface Round {
  /** A browser that first gets the other browser's cookies: a thief's, or one in which an attacker plants a cookie. */
  readonly copies: readonly [from: number, to: number] | null;
  readonly requests: readonly PlannedRequest[];
}

interface PlannedRequest {
  readonly browser: number;
  readonly server: number;
  readonly steps: readonly PlannedStep[];
}

const USERS = ["ada", "bob"] as const;

export function plans(framework: Framework): fc.Arbitrary<Plan> {
  const kinds = fc.record({
    isFailing: fc.constantFrom(false, false, true),
    isPlain: fc.boolean(),
    isMarking: fc.constantFrom(false, true, true),
  });
  return kinds.chain((kind) =>
    // Few kinds of steps per plan, so that the same ones meet often.
    fc
      .subarray([...stepsOf(kind, framework)], { minLength: 1, maxLength: 4 })
      .chain((steps) => plansOf(kind, steps)),
  );
}

/** The step sequences that a request is made of. */
function stepsOf({ isPlain }: Kind, framework: Framework): readonly fc.Arbitrary<readonly PlannedStep[]>[] {
  const user = fc.constantFrom(...USERS);
  const always = (...steps: PlannedStep[]): fc.Arbitrary<readonly PlannedStep[]> => fc.constant(steps);
  // koa-session's regenerate keeps the data, and with them the user.
  const blanks = !framework.name.startsWith("koa");
  return [
    always(),
    fc.constantFrom<readonly PlannedStep[]>(["set"], ["set", "save"], ["start to save"]),
    always("rotate"),
    always("regenerate"),
    always({ pause: 2 }),
    fc.constantFrom(...LOGOUTS).map((step) => [step]),
    always("log out everywhere"),
    always("log out everywhere else"),
    user.map((logIn) => [{ logIn }]),
    ...(blanks ? [user.map((userId): readonly PlannedStep[] => ["regenerate", { userId }])] : []),
    // A logout by the data leaves the user's other data, and a plain login of another user would find them.
    isPlain ? user.map((userId) => [{ userId }]) : always({ userId: null }),
  ];
}

function plansOf(kind: Kind, palette: readonly fc.Arbitrary<readonly PlannedStep[]>[]): fc.Arbitrary<Plan> {
  const first = fc.constantFrom<readonly PlannedStep[]>(
    [],
    ["set"],
    [{ logIn: "ada" }],
    ["regenerate", { userId: "ada" }],
    ["regenerate", { userId: "ada" }],
  );
  const beginning = first.map((steps): Round => ({
    copies: null,
    requests: [{ browser: 0, server: 0, steps }],
  }));
  const request = fc.record({
    browser: fc.constantFrom(0, 0, 0, 1),
    server: fc.nat({ max: 1 }),
    steps: fc.array(fc.oneof(...palette), { maxLength: 3 }).map((some) => untilLogout(some.flat())),
  });
  const round = fc.record({
    copies: fc.constantFrom<Round["copies"]>(null, null, null, [0, 1], [1, 0]),
    requests: fc.oneof(
      fc.array(request, { minLength: 1, maxLength: 1 }),
      fc.array(request, { minLength: 2, maxLength: 4 }),
    ),
  });
  return fc.record({
    isFailing: fc.constant(kind.isFailing),
    isPlain: fc.constant(kind.isPlain),
    isMarking: fc.constant(kind.isMarking),
    rounds: fc
      .tuple(beginning, fc.array(round, { minLength: 1, maxLength: 5 }))
      .map(([one, others]) => [one].concat(others)),
    delays: fc.nat(),
  });
}

/** After a logout there is no session to change. */
function untilLogout(steps: readonly PlannedStep[]): readonly PlannedStep[] {
  const end = steps.findIndex((step) => LOGOUTS.includes(step));
  return end < 0 ? steps : steps.slice(0, end + 1);
}

/** Carries out a plan. Rejects with all that happened if a rule is broken. */
export async function play(framework: Framework, store: SessionStore, plan: Plan): Promise<void> {
  const { store: disturbedStore, calm } = disturbed(store, plan);
  const reports = new Map<number, Report>();
  const serve = () => framework.serve(new Sessions({ store: disturbedStore }), reporting(reports, plan));
  const sites = await Promise.all([serve(), serve()]);
  try {
    const origins = sites.map(({ origin }) => origin);
    judge(await carryOut(plan, { origins, reports, calm }), plan);
  } finally {
    await Promise.all(sites.map((site) => site.close()));
  }
}

interface Sites {
  readonly origins: readonly string[];
  readonly reports: ReadonlyMap<number, Report>;
  /** Ends the delays and the failures of the store. */
  readonly calm: () => void;
}

async function carryOut({ rounds }: Plan, { origins, reports, calm }: Sites): Promise<readonly Seen[]> {
  const browsers: Map<string, string>[] = [new Map(), new Map()];
  /** The cookies that came with each token. */
  const given = new Map<string, ReadonlyMap<string, string>>();
  const all: Seen[] = [];
  let clock = 0;

  for (const { copies, requests } of rounds) {
    if (copies) browsers[copies[1]] = new Map(browsers[copies[0]]);
    await Promise.all(requests.map(({ browser, server, steps }) => ask(browsers[browser]!, server, steps)));
    await tryTokens();
  }
  calm();
  await tryTokens();
  return all;

  async function tryTokens(): Promise<void> {
    for (const cookies of [...given.values()].slice(-TOKENS)) await ask(new Map(cookies), 0, []);
  }

  async function ask(jar: Map<string, string>, server: number, steps: readonly PlannedStep[]): Promise<void> {
    const client = visitor(origins[server]!, jar);
    const before = new Map(jar);
    const one: Seen = { at: all.length, server, steps, begin: (clock += 1), sent: tokenIn(jar) };
    all.push(one);
    const { status, text } = await client
      .post("/", [{ request: one.at }, ...steps])
      // A framework cuts the response if the store fails after the headers.
      .catch((error: unknown) => ({ status: 0, text: String(error) }));
    const received = tokenIn(client.cookies);
    one.response = { end: (clock += 1), status, text, token: received, report: reports.get(one.at) };
    if (received !== undefined && !given.has(received)) given.set(received, new Map(client.cookies));
    for (const name of new Set([...before.keys(), ...client.cookies.keys()])) {
      const value = client.cookies.get(name);
      if (value === before.get(name)) continue;
      if (value === undefined) jar.delete(name);
      else jar.set(name, value);
    }
  }
}

const TOKENS = 8;

/** An application that takes the steps of a request, and reports what the session showed. */
function reporting(reports: Map<number, Report>, { isMarking }: Kind): Application {
  const inner = application(gates());
  return {
    async run(session, given) {
      const [{ request }, ...steps] = given as unknown as readonly [{ request: number }, ...PlannedStep[]];
      const report: Report = {
        user: session.user,
        entries: { ...session.entries() },
        taken: [],
        loggedIn: [],
        refused: [],
        everywhere: [],
      };
      reports.set(request, report);
      const reported = reportedSession(session, report);
      const saves: Promise<void>[] = [];
      for (const step of steps) {
        report.taken.push(step);
        if ((await take(step)) === "over") break;
        if (isMarking && session.user !== null) session.set("mark", session.user);
      }
      await Promise.all(saves);
      return {};

      async function take(step: PlannedStep): Promise<"over" | void> {
        if (step === "start to save") return startToSave();
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

function reportedSession(session: SessionInHand, report: Report): SessionInHand {
  const logIn: SessionInHand["logIn"] = async (user, options) => {
    report.loggedIn.push(user);
    const refused = await session.logIn(user, options);
    if (refused !== null) report.refused.push(refused);
    return refused;
  };
  const logOutEverywhere: SessionInHand["logOutEverywhere"] = (options) => {
    report.everywhere.push({ user: session.user, keepsThis: options.keepThis === true });
    return session.logOutEverywhere(options);
  };
  return Object.create(session, {
    logIn: { value: logIn },
    logOutEverywhere: { value: logOutEverywhere },
  }) as SessionInHand;
}

/** A store each of whose calls takes a few turns of the event loop, before and after it takes effect, and may fail. */
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
