import * as fc from "fast-check";
import type { Step } from "./application.ts";
import type { Framework } from "./framework.ts";

/**
 * Random requests of two browsers to two servers over one store, in rounds. The requests of a round run
 * concurrently. After each round, the latest tokens that browsers were given are tried.
 */
export interface Plan extends Kind {
  readonly rounds: readonly Round[];
  /** Seeds the delays and the failures of the store. */
  readonly delays: number;
}

export interface Round {
  /**
   * A browser that first gets the other browser's cookies: a thief's, or one in which an attacker plants a
   * cookie.
   */
  readonly copies: readonly [from: number, to: number] | null;
  readonly requests: readonly (PlannedRequest | Administrator)[];
}

/** An administrator logs a user out everywhere, without a browser. */
export interface Administrator {
  readonly everywhere: string;
}

/** What the requests and the store of a plan may do. */
export interface Kind {
  /** Whether some calls of the store fail, before or after they take effect. */
  readonly isFailing: boolean;
  /** Whether the application also logs in by writing a user to the data, which keeps the token. */
  readonly isPlain: boolean;
  /** Whether each step that leaves a user in the session also writes that user's name to the data. */
  readonly isMarking: boolean;
}

export interface PlannedRequest {
  readonly browser: number;
  readonly server: number;
  readonly steps: readonly PlannedStep[];
}

/** `"set"` sets a key that is named after the request. */
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
  const reloads = /^(?:express|@fastify)/u.test(framework.name);
  // koa-session's regenerate keeps the data, and with them the user.
  const blanks = !framework.name.startsWith("koa");
  return [
    always(),
    fc.constantFrom<readonly PlannedStep[]>(["set"], ["set", "save"], ["start to save"]),
    always("rotate"),
    always("regenerate"),
    ...(reloads ? [always("reload")] : []),
    always({ pause: 2 }),
    fc.constantFrom(...LOGOUTS).map((step) => [step]),
    always("log out everywhere"),
    always("log out everywhere else"),
    // A user in the kept data who is not the one who logs in is dropped.
    user.chain((logIn) => fc.constantFrom([{ logIn }], [{ logIn, keep: ["userId"] }])),
    user.map((logIn) => ["log out", { logIn }]),
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
  const administrator = fc.record({ everywhere: fc.constantFrom(...USERS) });
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

/** After a logout there is no session to change. A login may begin another. */
function untilLogout(steps: readonly PlannedStep[]): readonly PlannedStep[] {
  const end = steps.findIndex((step) => LOGOUTS.includes(step));
  const next = steps[end + 1];
  const goesOn = typeof next === "object" && "logIn" in next;
  return end < 0 ? steps : steps.slice(0, end + (goesOn ? 2 : 1));
}
