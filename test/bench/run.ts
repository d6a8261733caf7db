import type { ClientProcess } from "./client-process.ts";
import { REVOCATION } from "./competitor.ts";
import type { Profile, Slice } from "./load.ts";
import { userOf } from "./session-data.ts";

export interface Size {
  readonly sessions: number;
  readonly concurrencies: readonly number[];
  /** In each round, every competitor has a slice. An additional first round warms up. */
  readonly rounds: number;
  readonly sliceMs: number;
  /** The least number of users whose ten sessions each client revokes. */
  readonly revokedUsers: number;
}

/** One line of the result: a load, and each competitor's figures under it. */
export interface Cell {
  readonly cell: string;
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly name: string;
  /** The method, where competitors differ. */
  readonly how?: string;
  /** Medians over the rounds. */
  readonly perSecond: number;
  readonly clientMicros?: number;
  readonly serverMicros?: number;
  /**
   * How many times as fast as this competitor Tenure was: the median of the rounds' ratios. 1 for Tenure
   * itself.
   */
  readonly tenureTimes: number;
}

/**
 * Runs all loads. Clients take turns slice by slice, so that a disturbance of the machine affects all of
 * them. `say` gets the progress.
 */
export async function run(
  clients: readonly ClientProcess[],
  size: Size,
  say: (line: string) => void,
): Promise<Cell[]> {
  for (const client of clients) {
    const began = performance.now();
    await client.populate(size.sessions);
    say(`${client.name}: ${size.sessions} sessions in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }

  const cells: Cell[] = [];
  for (const { title, profile, share, concurrencies } of loads(size)) {
    for (const concurrency of concurrencies) {
      const rounds: Slice[][] = [];
      for (let round = 0; round <= size.rounds; round += 1) {
        const slices: Slice[] = Array.from({ length: clients.length });
        // The first client changes, or each client would always follow the same other client.
        for (let turn = 0; turn < clients.length; turn += 1) {
          const i = (turn + round) % clients.length;
          const client = clients[i];
          if (!client) continue;
          slices[i] =
            profile === "HTTP"
              ? await client.httpSlice(concurrency, size.sliceMs, share)
              : await client.slice(profile, concurrency, size.sliceMs, share);
        }
        if (round > 0) rounds.push(slices);
      }
      cells.push(summary(`${title}, C=${concurrency}`, clients, rounds));
      say(`${title}, C=${concurrency}: done`);
    }
  }
  cells.push(await revocations(clients, size));
  say("revocations: done");
  return cells;
}

interface Load {
  readonly title: string;
  readonly profile: Profile | "HTTP";
  /** The share of touches that are due. */
  readonly share: number;
  readonly concurrencies: readonly number[];
}

function loads({ concurrencies }: Size): Load[] {
  const crowd = concurrencies.filter((concurrency) => concurrency >= 16 && concurrency <= 64).slice(-1);
  return [
    { title: "page view", profile: "page view", share: 0.2, concurrencies },
    { title: "page view, every touch written", profile: "page view", share: 1, concurrencies: crowd },
    { title: "page view over HTTP", profile: "HTTP", share: 0.2, concurrencies: crowd },
    { title: "mix", profile: "mix", share: 0.2, concurrencies: crowd },
  ];
}

function summary(cell: string, clients: readonly ClientProcess[], rounds: readonly Slice[][]): Cell {
  const entries = clients.map(({ name }, i) => {
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

/**
 * Runs last, because it ends the sessions that the loads use. Every client ends the sessions of the same
 * users, and then of more users for {@link REVOKING}, so that a client that takes a millisecond per user is
 * not judged by its first call, and one that takes a second ends few.
 */
async function revocations(
  clients: readonly ClientProcess[],
  { sessions, revokedUsers }: Size,
): Promise<Cell> {
  const entries: Entry[] = [];
  for (const client of clients) {
    const took: number[] = [];
    const began = performance.now();
    for (const user of usersOf(sessions)) {
      if (took.length >= revokedUsers && performance.now() - began > REVOKING) break;
      const { ended, ms } = await client.revokeUser(user);
      if (ended !== 10) throw new Error(`${client.name} ended ${ended} sessions of ${user}, who had 10.`);
      took.push(ms);
    }
    const perSecond = 1000 / median(took);
    entries.push({
      name: client.name,
      how: await client.revocation(),
      perSecond,
      tenureTimes: (entries[0]?.perSecond ?? perSecond) / perSecond,
    });
  }
  return { cell: REVOCATION, entries };
}

/** Milliseconds. */
const REVOKING = 1000;

/** Returns a tenth of the users, spread evenly. */
function usersOf(sessions: number): string[] {
  return Array.from({ length: Math.ceil(sessions / 100) }, (_, i) => userOf(i * 100));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}
