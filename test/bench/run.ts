import type { Arena, Competitor } from "./competitor.ts";
import { pin } from "./cpu.ts";
import { type Population, type Profile, type Slice, slice } from "./load.ts";
import { requestsOn } from "./requests.ts";
import { userOf } from "./session-data.ts";

export interface Size {
  readonly sessions: number;
  readonly concurrencies: readonly number[];
  /** Each round gives every competitor a slice; one more, before, only warms up. */
  readonly rounds: number;
  readonly sliceMs: number;
  /** Users whose ten sessions are revoked, a competitor. */
  readonly revokedUsers: number;
}

/** One line of the result: a load, and how each competitor bore it. */
export interface Cell {
  readonly cell: string;
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly name: string;
  /** By what means, where competitors differ. */
  readonly how?: string;
  /** Medians over the rounds. */
  readonly perSecond: number;
  readonly clientMicros?: number;
  readonly serverMicros?: number;
  /** How many times as fast Tenure was: the median of the rounds' ratios. 1 for Tenure itself. */
  readonly tenureTimes: number;
}

/**
 * Runs all loads on a backend. Competitors take turns slice by slice, so that what disturbs the machine disturbs them all;
 * `say` hears what goes on.
 */
export async function run(arena: Arena, size: Size, say: (line: string) => void): Promise<Cell[]> {
  const { competitors, serverPid } = arena;
  say(`server: ${arena.server}`);
  say(pin(serverPid));
  const fields = new Map<Competitor, Population>();
  for (const competitor of competitors) {
    const began = performance.now();
    fields.set(competitor, await populate(competitor, size.sessions));
    say(
      `${competitor.name}: ${size.sessions} sessions in ${((performance.now() - began) / 1000).toFixed(1)} s`,
    );
  }

  const cells: Cell[] = [];
  for (const { title, profile, share, concurrencies } of loads(size)) {
    for (const concurrency of concurrencies) {
      for (const { dueShare } of competitors) dueShare?.(share);
      const rounds: Slice[][] = [];
      for (let round = 0; round <= size.rounds; round += 1) {
        const slices: Slice[] = Array.from({ length: competitors.length });
        // Who goes first changes, or the same one would always follow the same other.
        for (let turn = 0; turn < competitors.length; turn += 1) {
          const i = (turn + round) % competitors.length;
          const competitor = competitors[i];
          const population = competitor && fields.get(competitor);
          if (population === undefined) continue;
          globalThis.gc?.();
          slices[i] = await slice(profile, concurrency, size.sliceMs, population, serverPid);
        }
        if (round > 0) rounds.push(slices);
      }
      cells.push(summary(`${title}, C=${concurrency}`, competitors, rounds));
      say(`${title}, C=${concurrency}: done`);
    }
  }
  cells.push(await revocations(arena, size));
  say("revocations: done");
  return cells;
}

/** The cell of that name: the ten sessions of one user, among all that there are. */
export const REVOCATION = "revoke one user's 10 sessions";

interface Load {
  readonly title: string;
  readonly profile: Profile;
  /** The share of touches that are due. */
  readonly share: number;
  readonly concurrencies: readonly number[];
}

function loads({ concurrencies }: Size): Load[] {
  const crowd = concurrencies.filter((concurrency) => concurrency >= 16 && concurrency <= 64).slice(-1);
  return [
    { title: "page view", profile: "page view", share: 0.2, concurrencies },
    { title: "page view, every touch written", profile: "page view", share: 1, concurrencies: crowd },
    { title: "mix", profile: "mix", share: 0.2, concurrencies: crowd },
  ];
}

async function populate({ store }: Competitor, sessions: number): Promise<Population> {
  const requests = requestsOn(store);
  const tokens: string[] = [];
  for (let from = 0; from < sessions; from += 250) {
    const batch = Array.from({ length: Math.min(250, sessions - from) }, (_, i) =>
      requests.login(userOf(from + i)),
    );
    tokens.push(...(await Promise.all(batch)));
  }
  return { requests, tokens, visitors: [] };
}

function summary(cell: string, competitors: readonly Competitor[], rounds: readonly Slice[][]): Cell {
  const entries = competitors.map(({ name }, i) => {
    const mine = rounds.flatMap((slices) => slices[i] ?? []);
    const ratios = rounds.map(([tenure, ...peers]) => {
      const own = i === 0 ? tenure : peers[i - 1];
      return (tenure?.requestsPerSecond ?? 0) / (own?.requestsPerSecond ?? 0);
    });
    const server = mine.flatMap(({ serverMicros }) => serverMicros ?? []);
    return {
      name,
      perSecond: median(mine.map(({ requestsPerSecond }) => requestsPerSecond)),
      clientMicros: median(mine.map(({ clientMicros }) => clientMicros)),
      ...(server.length > 0 ? { serverMicros: median(server) } : {}),
      tenureTimes: median(ratios),
    };
  });
  return { cell, entries };
}

/** Last, because it takes away what the loads live on. Every competitor ends sessions of the same users. */
async function revocations({ competitors }: Arena, { sessions, revokedUsers }: Size): Promise<Cell> {
  const users = Array.from({ length: revokedUsers }, (_, i) =>
    userOf(Math.floor(((i + 0.5) * sessions) / revokedUsers)),
  );
  const entries: Entry[] = [];
  for (const { name, revokeUser, revocation } of competitors) {
    const seconds: number[] = [];
    for (const user of users) {
      const began = performance.now();
      const ended = await revokeUser(user);
      seconds.push((performance.now() - began) / 1000);
      if (ended !== 10) throw new Error(`${name} ended ${ended} sessions of ${user}, who had 10.`);
    }
    const perSecond = 1 / median(seconds);
    entries.push({
      name,
      how: revocation,
      perSecond,
      tenureTimes: (entries[0]?.perSecond ?? perSecond) / perSecond,
    });
  }
  return { cell: REVOCATION, entries };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}
