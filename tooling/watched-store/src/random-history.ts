/**
 * Random histories of browsers that log in, log out and rotate side by side, over a store that delays and fails. Nobody who was logged out may
 * be seen logged in without a login that began later, and a login that begins after "log out everywhere" has resolved succeeds.
 *
 * Every operation is one request of one browser, and several run at once. It resolves to `undefined` if it failed: then what it was to
 * do may have happened or not. It calls `begun` when the server begins: a request that is still on its way has not begun to log in.
 */
export interface Operations<Browser> {
  /** Ways in which a user authenticates. */
  readonly logIn: Readonly<
    Record<string, (browser: Browser, user: string, begun: () => void) => Promise<LoginSeen | undefined>>
  >;
  /** Ways to log out of the session that the request saw, as it saw it. */
  readonly logOut: Readonly<
    Record<string, (browser: Browser, user: string, begun: () => void) => Promise<LogoutSeen | undefined>>
  >;
  /** Ways to log a user out everywhere. The first logs out the given user; others may log out the browser's own. */
  readonly everywhere: Readonly<
    Record<
      string,
      (browser: Browser, user: string, begun: () => void) => Promise<Pick<SessionSeen, "user"> | undefined>
    >
  >;
  /** What neither authenticates nor logs out: saves, rotations, a `regenerate` that carries the user over. */
  readonly others: Readonly<
    Record<string, (browser: Browser, user: string, begun: () => void) => Promise<unknown>>
  >;
  readonly look: (browser: Browser, user: string, begun: () => void) => Promise<SessionSeen | undefined>;
}

export interface SessionSeen {
  /** The session's id, which outlives rotations. `null`: there is none. */
  readonly id: string | null;
  readonly user: string | null;
}

export interface LogoutSeen extends SessionSeen {
  /** Whether the session goes on without its user, as passport's logout has it. */
  readonly goesOn?: boolean;
}

export interface LoginSeen {
  /** The id of the session that the login left. */
  readonly id: string | null;
  /** `"unknown"`: the response does not say; the session may have been ended meanwhile. */
  readonly outcome: "logged-in" | "logged-out-meanwhile" | "unknown";
}

/** A site over the store of one history. */
export interface HistorySite<Browser> {
  readonly operations: Operations<Browser>;
  /** A browser without cookies. */
  readonly newBrowser: () => Browser;
  readonly close: () => unknown;
}

export interface Histories<Store, Browser> {
  readonly newStore: () => Store;
  /** What a call of an unreliable store rejects with. */
  readonly failure: (call: string) => Error;
  readonly open: (store: Store, seed: number) => HistorySite<Browser> | Promise<HistorySite<Browser>>;
}

/**
 * Runs as many histories as `TENURE_ROUNDS` says, or 60, from the seed `TENURE_SEED`, each over a store of its own that waits and fails.
 * Rejects with everything that happened in the first one that breaks a rule.
 */
export async function randomHistories<Store extends object, Browser>(
  histories: Histories<Store, Browser>,
): Promise<void> {
  const first = Number(process.env["TENURE_SEED"] ?? 0);
  const seeds = Array.from({ length: Number(process.env["TENURE_ROUNDS"] ?? 60) }, (_, at) => first + at);
  const run = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
      const { store, calm } = unreliable(histories.newStore(), seed, histories.failure);
      const site = await histories.open(store, seed);
      try {
        await randomHistory(seed, site, calm);
      } catch (error) {
        // The others end with the history that they are at.
        seeds.length = 0;
        throw error;
      } finally {
        await site.close();
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
}

const AT_ONCE = 4;

/** Finds out by a header when the server begins with the request of a step. */
export class Beginnings {
  readonly #waiting = new Map<string, () => void>();
  #steps = 0;

  /** The headers of a request. */
  sent(begun: () => void): Record<string, string> {
    this.#steps += 1;
    this.#waiting.set(String(this.#steps), begun);
    return { "x-step": String(this.#steps) };
  }

  /** The server has the request with these headers. */
  arrived(headers: Readonly<Record<string, unknown>>): void {
    const step = String(headers["x-step"]);
    this.#waiting.get(step)?.();
    this.#waiting.delete(step);
  }
}

async function randomHistory<Browser>(
  seed: number,
  { operations, newBrowser }: HistorySite<Browser>,
  calm: () => void,
): Promise<void> {
  const random = seeded(seed);
  const browsers = Array.from({ length: 1 + Math.floor(random() * 3) }, newBrowser);
  const done: Step[] = [];
  let clock = 0;

  await disorder();
  calm();
  judge(seed, done);
  await order();
  judge(seed, done);

  async function disorder(): Promise<void> {
    const running = new Set<Promise<void>>();
    for (let left = 6 + Math.floor(random() * 12); left > 0; left -= 1) {
      const step = take(pick(KINDS));
      const settled = step.finally(() => running.delete(settled));
      running.add(settled);
      if (running.size > 3) await Promise.race(running);
      if (random() < 0.35) await Promise.all(running);
    }
    await Promise.all(running);
  }

  /** When all is quiet, revoke-all leaves nobody logged in, and the next login succeeds. */
  async function order(): Promise<void> {
    const way = Object.keys(operations.everywhere)[0]!;
    for (const user of USERS) await take("everywhere", 0, { user, way });
    for (const at of browsers.keys()) {
      await take("look", at);
      await take("logIn", at);
      const login = done.at(-1)!;
      await take("look", at);
      const look = done.at(-1)!;
      if (look.seen?.user !== login.user) fail(seed, done, "a login after revoke-all is not seen", look);
    }
  }

  async function take(
    kind: Kind,
    at: number = Math.floor(random() * browsers.length),
    given: { readonly user?: string; readonly way?: string } = {},
  ): Promise<void> {
    const { user = pick(USERS) } = given;
    const browser = browsers[at]!;
    const step: Step = { kind, way: "", browser: at, user, begin: (clock += 1), end: 0, seen: undefined };
    const begun = (): void => void (step.begin = clock += 1);
    if (kind === "look") step.seen = await operations.look(browser, user, begun);
    else {
      step.way = given.way ?? pick(Object.keys(operations[kind]));
      step.seen = (await operations[kind][step.way]!(browser, user, begun)) as Step["seen"];
    }
    step.end = clock += 1;
    done.push(step);
  }

  function pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(random() * items.length)]!;
  }
}

type Kind = "logIn" | "logOut" | "everywhere" | "others" | "look";

/** As often as it stands here. */
const KINDS: readonly Kind[] = [
  ...(["logIn", "logIn", "logIn", "look", "look", "look"] as const),
  ...(["others", "others", "others", "others", "logOut", "everywhere"] as const),
];
const USERS = ["ada", "bob"];

interface Step {
  readonly kind: Kind;
  way: string;
  readonly browser: number;
  readonly user: string;
  begin: number;
  end: number;
  /** `undefined`: it failed. */
  seen: Partial<LogoutSeen & LoginSeen> | undefined;
}

function judge(seed: number, done: readonly Step[]): void {
  const of = (kind: Kind): Step[] => done.filter((step) => step.kind === kind);
  const everywhere = of("everywhere");
  for (const look of of("look")) {
    const { id, user } = look.seen ?? {};
    if (typeof user !== "string") continue;
    for (const logout of of("logOut")) {
      if (!logout.seen || logout.seen.id !== id || logout.end > look.begin) continue;
      if (!logout.seen.goesOn) fail(seed, done, "a session that was logged out is seen", look);
      const isLoggedInAgain = of("logIn").some(
        ({ seen, end, begin }) => end > logout.begin && begin < look.end && (!seen || seen.id === id),
      );
      if (logout.seen.user === user && !isLoggedInAgain)
        fail(seed, done, "a user who logged out is seen, without a later login", look);
    }
    const revoked = everywhere.filter(({ seen, end }) => seen?.user === user && end < look.begin);
    const isLater = ({ begin }: Step): boolean => revoked.every((step) => begin > step.begin);
    const logins = of("logIn").filter(
      (login) =>
        login.browser === look.browser &&
        login.user === user &&
        login.begin < look.end &&
        (login.seen === undefined || login.seen.id === id),
    );
    if (logins.length === 0) fail(seed, done, "a user is seen in a session of no login", look);
    if (!logins.some(isLater))
      fail(seed, done, "a user is seen after revoke-all, without a later login", look);
  }
  for (const login of of("logIn")) {
    if (login.seen?.outcome !== "logged-out-meanwhile") continue;
    // What failed may have happened, for whichever user it was; only what resolved is dated exactly.
    const isExcused = everywhere.some(
      ({ seen, begin, end }) =>
        begin < login.end && (seen === undefined || (end > login.begin && seen.user === login.user)),
    );
    if (!isExcused) fail(seed, done, "a login is refused that began after revoke-all had resolved", login);
  }
}

function fail(seed: number, done: readonly Step[], rule: string, at: Step): never {
  const line = (step: Step): string =>
    `${step === at ? ">" : " "} ${step.begin}-${step.end} browser ${step.browser} ${step.kind} ${step.way} (${step.user}): ${step.seen ? JSON.stringify(step.seen) : "failed"}`;
  const lines = done.toSorted((a, b) => a.begin - b.begin).map(line);
  throw new Error(`seed ${seed}: ${rule}\n${lines.join("\n")}`);
}

/**
 * A store whose calls wait at random and sometimes fail, before they take effect or after.
 *
 * @param failure what a call rejects with
 */
function unreliable<Store extends object>(
  store: Store,
  seed: number,
  failure: (call: string) => Error,
): { readonly store: Store; readonly calm: () => void } {
  const random = seeded(seed);
  let isCalm = false;
  const wait = async (): Promise<void> => {
    for (let turns = isCalm ? 0 : Math.floor(random() * 6); turns > 0; turns -= 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const unreliably = async (call: string, run: () => unknown): Promise<unknown> => {
    await wait();
    // The clock only waits: without it, nothing says when a login began.
    const mayFail = !isCalm && call !== "now";
    if (mayFail && random() < 0.03) throw failure(call);
    const result = await run();
    await wait();
    if (mayFail && random() < 0.03) throw failure(call);
    return result;
  };
  return {
    store: new Proxy(store, {
      get(target, name) {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function" || name === "scan") return method;
        return (...args: unknown[]) => unreliably(String(name), () => method.apply(target, args) as unknown);
      },
    }),
    calm: () => {
      isCalm = true;
    },
  };
}

/** A small seeded generator (Tommy Ettinger's mulberry32, public domain). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
