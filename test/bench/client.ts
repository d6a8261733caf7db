import type { Competitor } from "./competitor.ts";
import { contests } from "./contests.ts";
import { cpuTime } from "./cpu.ts";
import { listen } from "./http.ts";
import { type Population, type Profile, populate, type Slice, slice } from "./load.ts";
import { cookieOf } from "./requests.ts";

/** The commands that a competitor's process runs, one at a time. */
export interface Commands {
  /** Creates this many sessions, ten per user. */
  populate(sessions: number): Promise<void>;
  /** @param dueShare the share of touches that are due */
  slice(profile: Profile, concurrency: number, ms: number, dueShare: number): Promise<Slice>;
  /** Starts an application over HTTP. Resolves to its port and to the cookies of some of the sessions. */
  serve(): Promise<{ readonly port: number; readonly cookies: readonly string[] }>;
  /**
   * The CPU time so far, in microseconds, of this process and of the server. `undefined`: the server is not a
   * process of this run.
   */
  cpu(dueShare: number): Promise<{ readonly client: number; readonly server: number | undefined }>;
  /** Ends a user's sessions. Resolves to their number and to the duration in milliseconds. */
  revokeUser(userId: string): Promise<{ readonly ended: number; readonly ms: number }>;
  /** Resolves to a description of how this competitor revokes sessions. */
  revocation(): Promise<string>;
  close(): Promise<unknown>;
}

export interface Command {
  readonly call: keyof Commands;
  readonly args: readonly unknown[];
}

export type Reply = { readonly result: unknown } | { readonly error: string };

const [backend = "", name = "", url = "", serverPid = ""] = process.argv.slice(2);
const open = (await contests[backend]?.())?.competitors[name];
if (open === undefined) throw new Error(`there is no ${name} on ${backend}`);
const commands = commandsFor(await open(url), Number(serverPid) || undefined);
process.on("disconnect", () => process.exit());
process.on("message", (command: Command) => void run(command));
reply({ result: undefined });

async function run({ call, args }: Command): Promise<void> {
  try {
    const command = commands[call] as (...given: readonly unknown[]) => Promise<unknown>;
    reply({ result: await command(...args) });
  } catch (error) {
    reply({ error: String(error) });
  }
}

function reply(message: Reply): void {
  process.send?.(message);
}

function commandsFor(competitor: Competitor, pid: number | undefined): Commands {
  let population: Population;
  return {
    async populate(sessions) {
      population = await populate(competitor.store, sessions);
      competitor.afterPopulate?.();
    },
    slice(profile, concurrency, ms, dueShare) {
      competitor.setDueShare?.(dueShare);
      return slice(profile, concurrency, ms, population, pid);
    },
    async serve() {
      const tokens = population.tokens.slice(0, SERVED);
      return { port: await listen(competitor.store), cookies: tokens.map(cookieOf) };
    },
    async cpu(dueShare) {
      competitor.setDueShare?.(dueShare);
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

/** The number of sessions that are used over HTTP. Limited, because their cookies pass between processes. */
const SERVED = 10_000;
