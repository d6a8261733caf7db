/**
 * The operations of random histories, in which browsers log in, log out and rotate concurrently, over a store
 * that delays and fails. The histories check two rules: a user who was logged out is not seen logged in
 * without a login that began later, and a login that begins after "log out everywhere" has resolved succeeds.
 *
 * Each operation is one request of one browser, and several run concurrently. It resolves to `undefined` if
 * it failed, and then it may have taken effect or not. It calls `begun` when the server begins to handle the
 * request, because a login does not begin while its request is on the way.
 */
export interface Operations<Browser> {
  /** Ways in which a user authenticates. */
  readonly logIn: Readonly<
    Record<string, (browser: Browser, user: string, begun: () => void) => Promise<LoginSeen | undefined>>
  >;
  /** Ways to log out of the session that the request saw. */
  readonly logOut: Readonly<
    Record<string, (browser: Browser, user: string, begun: () => void) => Promise<LogoutSeen | undefined>>
  >;
  /**
   * Ways to log a user out everywhere. The first logs out the given user; the others may log out the
   * browser's user.
   */
  readonly everywhere: Readonly<
    Record<
      string,
      (browser: Browser, user: string, begun: () => void) => Promise<Pick<SessionSeen, "user"> | undefined>
    >
  >;
  /**
   * Operations that neither authenticate nor log out: saves, rotations, a `regenerate` that carries the user
   * over.
   */
  readonly others: Readonly<
    Record<string, (browser: Browser, user: string, begun: () => void) => Promise<unknown>>
  >;
  readonly look: (browser: Browser, user: string, begun: () => void) => Promise<SessionSeen | undefined>;
}

export interface SessionSeen {
  /** The session's id, which rotations do not change. `null`: there is no session. */
  readonly id: string | null;
  readonly user: string | null;
}

export interface LogoutSeen extends SessionSeen {
  /** Whether the session continues without its user, as after passport's logout. */
  readonly goesOn?: boolean;
}

export interface LoginSeen {
  /** The id of the session that the login resulted in. */
  readonly id: string | null;
  /** `"unknown"`: the response does not show it, because the session may have ended in the meantime. */
  readonly outcome: "logged-in" | "logged-out-meanwhile" | "unknown";
}

export interface HistorySite<Browser> {
  readonly operations: Operations<Browser>;
  /** A browser without cookies. */
  readonly newBrowser: () => Browser;
  readonly close: () => unknown;
}

export interface Histories<Store, Browser> {
  readonly newStore: () => Store;
  /** Makes the error with which a call of the unreliable store rejects. */
  readonly failure: (call: string) => Error;
  readonly open: (store: Store, seed: number) => HistorySite<Browser> | Promise<HistorySite<Browser>>;
}

/**
 * Runs `TENURE_ROUNDS` histories (default 60) from the seed `TENURE_SEED`, each on its own store that delays
 * and fails. Rejects with all steps of the first history that breaks a rule.
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
        // The other workers stop after their current history.
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

/** Detects by a header when the server begins to handle the request of a step. */
export class Beginnings {
  readonly #waiting = new Map<string, () => void>();
  #steps = 0;

  sent(begun: () => void): Record<string, string> {
    this.#steps += 1;
    this.#waiting.set(String(this.#steps), begun);
    return { "x-step": String(this.#steps) };
  }

  /** Called when the server has received a request with these headers. */
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

  /**
   * Checks that, with no other request under way, "log out everywhere" leaves nobody logged in and the next
   * login succeeds.
   */
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

/** Each kind is drawn as often as it is listed. */
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
  /** `undefined`: the operation failed. */
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
    // A failed operation may have taken effect, for any user. Only operations that resolved are dated
    // exactly.
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
 * Returns a store whose calls wait for random times and sometimes fail, before or after they take effect.
 *
 * @param failure makes the error with which a call rejects
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
    // `now` only waits and never fails: without the clock, no login could be dated.
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
