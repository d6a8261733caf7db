import * as fc from "fast-check";
import type { Step } from "./application.ts";
import type { Framework } from "./framework.ts";

/**
 * Random requests of two browsers to two servers on one store, in rounds. The requests of a round run
 * concurrently. After each round, the latest tokens that browsers were given are tried.
 */
export interface Plan {
  readonly kind: PlanKind;
  readonly rounds: readonly Round[];
  /** The seed of the store's delays and failures. */
  readonly seed: number;
}

export interface Round {
  /**
   * Before the requests, browser `to` gets the cookies of browser `from`: as a thief would, or as an attacker
   * would who plants a cookie.
   */
  readonly copies: readonly [from: number, to: number] | null;
  readonly requests: readonly (PlannedRequest | AdministratorLogout)[];
}

/** An administrator logs a user out everywhere, without a browser. */
export interface AdministratorLogout {
  readonly loggedOutUser: string;
}

/** What the requests and the store of a plan may do. */
export interface PlanKind {
  /** Whether some calls of the store fail, before or after they take effect. */
  readonly storeFails: boolean;
  /** Whether the application also logs in by writing a user to the data, which keeps the token. */
  readonly hasPlainLogins: boolean;
  /** Whether each step that leaves a user in the session also writes that user's name to the data. */
  readonly marksUser: boolean;
}

export interface PlannedRequest {
  readonly browser: number;
  readonly server: number;
  readonly steps: readonly PlannedStep[];
}

/** `"set"` sets a key that contains the number of the request. */
export type PlannedStep =
  | Exclude<Step, object>
  | { readonly logIn: string; readonly keep?: readonly string[] }
  | { readonly userId: string | null }
  | { readonly pause: number }
  | "set";

export const USERS = ["ada", "bob"] as const;
export const LOGOUTS: readonly PlannedStep[] = ["destroy", "log out", "log out everywhere"];

export function plans(framework: Framework): fc.Arbitrary<Plan> {
  const kinds = fc.record({
    storeFails: fc.constantFrom(false, false, true),
    hasPlainLogins: fc.boolean(),
    marksUser: fc.constantFrom(false, true, true),
  });
  return kinds.chain((kind) =>
    // A plan has few kinds of steps, so that the same kinds often run concurrently.
    fc
      .subarray([...stepsOf(kind, framework)], { minLength: 1, maxLength: 4 })
      .chain((steps) => plansOf(kind, steps)),
  );
}

/** The sequences of steps from which requests are composed. */
function stepsOf(
  { hasPlainLogins }: PlanKind,
  framework: Framework,
): readonly fc.Arbitrary<readonly PlannedStep[]>[] {
  const user = fc.constantFrom(...USERS);
  const always = (...steps: PlannedStep[]): fc.Arbitrary<readonly PlannedStep[]> => fc.constant(steps);
  const hasReload = /^(?:express|@fastify)/u.test(framework.name);
  // koa-session's regenerate keeps the data, including the user.
  const regenerateBlanks = !framework.name.startsWith("koa");
  return [
    always(),
    fc.constantFrom<readonly PlannedStep[]>(["set"], ["set", "save"], ["start to save"]),
    always("rotate"),
    always("regenerate"),
    ...(hasReload ? [always("reload")] : []),
    always({ pause: 2 }),
    fc.constantFrom(...LOGOUTS).map((step) => [step]),
    always("log out everywhere"),
    always("log out everywhere else"),
    // If the kept data name a user other than the one who logs in, that key is dropped.
    user.chain((logIn) => fc.constantFrom([{ logIn }], [{ logIn, keep: ["userId"] }])),
    user.map((logIn) => ["log out", { logIn }]),
    ...(regenerateBlanks ? [user.map((userId): readonly PlannedStep[] => ["regenerate", { userId }])] : []),
    // Not both: a logout that deletes the user from the data leaves the user's other data, which a plain
    // login of another user would then find.
    hasPlainLogins ? user.map((userId) => [{ userId }]) : always({ userId: null }),
  ];
}

function plansOf(
  kind: PlanKind,
  sequences: readonly fc.Arbitrary<readonly PlannedStep[]>[],
): fc.Arbitrary<Plan> {
  const firstSteps = fc.constantFrom<readonly PlannedStep[]>(
    [],
    ["set"],
    [{ logIn: "ada" }],
    ["regenerate", { userId: "ada" }],
    ["regenerate", { userId: "ada" }],
  );
  const firstRound = firstSteps.map((steps): Round => ({
    copies: null,
    requests: [{ browser: 0, server: 0, steps }],
  }));
  const request = fc.record({
    browser: fc.constantFrom(0, 0, 0, 1),
    server: fc.nat({ max: 1 }),
    steps: fc.array(fc.oneof(...sequences), { maxLength: 3 }).map((chosen) => untilLogout(chosen.flat())),
  });
  const administrator = fc.record({ loggedOutUser: fc.constantFrom(...USERS) });
  const round = fc.record({
    copies: fc.constantFrom<Round["copies"]>(null, null, null, [0, 1], [1, 0]),
    requests: fc.oneof(
      fc.array(request, { minLength: 1, maxLength: 1 }),
      fc.array(fc.oneof({ weight: 8, arbitrary: request }, { weight: 1, arbitrary: administrator }), {
        minLength: 2,
        maxLength: 4,
      }),
    ),
  });
  const rounds = fc
    .tuple(firstRound, fc.array(round, { minLength: 1, maxLength: 5 }))
    .map(([one, others]) => [one].concat(others));
  return fc.record({ kind: fc.constant(kind), rounds, seed: fc.nat() });
}

/** Cuts the steps after a logout, when there is no session to change. A login may follow the logout. */
function untilLogout(steps: readonly PlannedStep[]): readonly PlannedStep[] {
  const end = steps.findIndex((step) => LOGOUTS.includes(step));
  const next = steps[end + 1];
  const logsInAgain = typeof next === "object" && "logIn" in next;
  return end < 0 ? steps : steps.slice(0, end + (logsInAgain ? 2 : 1));
}
