import type { Competitor } from "./competitor.ts";
import { contests } from "./contests.ts";
import { cpuTime } from "./cpu.ts";
import { listen } from "./http.ts";
import { type Population, type Profile, populate, type Slice, slice } from "./load.ts";
import { cookieOf } from "./requests.ts";

/** The orders that a competitor's process carries out, one at a time. */
export interface Orders {
  /** Creates this many sessions, ten per user. */
  populate(sessions: number): Promise<void>;
  /** @param share the share of touches that are due */
  slice(profile: Profile, concurrency: number, ms: number, share: number): Promise<Slice>;
  /** Starts an application on HTTP, once. Resolves to its port and to the cookies of some of the sessions. */
  serve(): Promise<{ readonly port: number; readonly cookies: readonly string[] }>;
  /**
   * CPU time so far, in microseconds, of this process and of the server. `undefined`: the server is not a
   * process of this run.
   */
  cpu(share: number): Promise<{ readonly client: number; readonly server: number | undefined }>;
  /** Ends a user's sessions. Resolves to their number and to the time that it took, in milliseconds. */
  revokeUser(userId: string): Promise<{ readonly ended: number; readonly ms: number }>;
  revocation(): Promise<string>;
  close(): Promise<unknown>;
}

export interface Order {
  readonly call: keyof Orders;
  readonly args: readonly unknown[];
}

export type Reply = { readonly result: unknown } | { readonly error: string };

const [backend = "", name = "", url = "", serverPid = ""] = process.argv.slice(2);
const open = (await contests[backend]?.())?.competitors[name];
if (open === undefined) throw new Error(`there is no ${name} on ${backend}`);
const orders = ordersTo(await open(url), Number(serverPid) || undefined);
process.on("disconnect", () => process.exit());
process.on("message", ({ call, args }: Order) => void obey(call, args));
reply({ result: undefined });

async function obey(call: keyof Orders, args: readonly unknown[]): Promise<void> {
  try {
    const order = orders[call] as (...given: readonly unknown[]) => Promise<unknown>;
    reply({ result: await order(...args) });
  } catch (error) {
    reply({ error: String(error) });
  }
}

function reply(message: Reply): void {
  process.send?.(message);
}

function ordersTo(competitor: Competitor, pid: number | undefined): Orders {
  let population: Population;
  return {
    async populate(sessions) {
      population = await populate(competitor.store, sessions);
      competitor.populated?.();
    },
    slice(profile, concurrency, ms, share) {
      competitor.dueShare?.(share);
      return slice(profile, concurrency, ms, population, pid);
    },
    async serve() {
      const some = population.tokens.slice(0, SERVED);
      return { port: await listen(competitor.store), cookies: some.map(cookieOf) };
    },
    async cpu(share) {
      competitor.dueShare?.(share);
      const { user, system } = process.cpuUsage();
      return { client: user + system, server: pid === undefined ? undefined : cpuTime(pid) };
    },
    async revokeUser(userId) {
      const began = performance.now();
      const ended = await competitor.revokeUser(userId);
      return { ended, ms: performance.now() - began };
    },
    revocation: async () => competitor.revocation,
    close: () => competitor.close(),
  };
}

/** How many sessions are used over HTTP. Their cookies are passed from one process to another. */
const SERVED = 10_000;
