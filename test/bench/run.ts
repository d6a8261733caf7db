import type { ClientProcess } from "./client-process.ts";
import { REVOCATION } from "./competitor.ts";
import type { Profile, Slice } from "./load.ts";
import { median } from "./median.ts";
import { userOf } from "./session-data.ts";

export interface Size {
  readonly sessions: number;
  readonly concurrencies: readonly number[];
  /** In each round, every competitor has one slice. One more round, before the others, warms up. */
  readonly rounds: number;
  readonly sliceMs: number;
  /** The minimum number of users whose ten sessions each client revokes. */
  readonly revokedUsers: number;
}

/** One line of the result: a load, and the figures of each competitor. */
export interface Cell {
  readonly cell: string;
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly name: string;
  /** The method, if competitors use different ones. */
  readonly how?: string;
  /** Medians over the rounds. */
  readonly perSecond: number;
  readonly clientMicros?: number;
  readonly serverMicros?: number;
  /** How many times as fast as this competitor Tenure was: the median of all rounds. 1 for Tenure itself. */
  readonly tenureTimes: number;
}

/**
 * Runs all loads. Clients take turns slice by slice, so that a disturbance of the machine affects all of
 * them.
 *
 * @param log called with the progress
 */
export async function run(
  clients: readonly ClientProcess[],
  size: Size,
  log: (line: string) => void,
): Promise<Cell[]> {
  for (const client of clients) {
    const began = performance.now();
    await client.populate(size.sessions);
    log(`${client.name}: ${size.sessions} sessions in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }

  const cells: Cell[] = [];
  for (const { title, profile, dueShare, concurrencies } of loads(size)) {
    for (const concurrency of concurrencies) {
      const rounds: Slice[][] = [];
      for (let round = 0; round <= size.rounds; round += 1) {
        const slices: Slice[] = Array.from({ length: clients.length });
        // Each round begins with another client. Otherwise, a client would always follow the same other
        // client.
        for (let turn = 0; turn < clients.length; turn += 1) {
          const i = (turn + round) % clients.length;
          const client = clients[i];
          if (!client) continue;
          slices[i] =
            profile === "HTTP"
              ? await client.httpSlice(concurrency, size.sliceMs, dueShare)
              : await client.slice(profile, concurrency, size.sliceMs, dueShare);
        }
        if (round > 0) rounds.push(slices);
      }
      cells.push(summary(`${title}, C=${concurrency}`, clients, rounds));
      log(`${title}, C=${concurrency}: done`);
    }
  }
  cells.push(await revocations(clients, size));
  log("revocations: done");
  return cells;
}

interface Load {
  readonly title: string;
  readonly profile: Profile | "HTTP";
  /** The share of touches that are due. */
  readonly dueShare: number;
  readonly concurrencies: readonly number[];
}

function loads({ concurrencies }: Size): Load[] {
  const highest = concurrencies.filter((concurrency) => concurrency >= 16 && concurrency <= 64).slice(-1);
  return [
    { title: "page view", profile: "page view", dueShare: 0.2, concurrencies },
    { title: "page view, every touch written", profile: "page view", dueShare: 1, concurrencies: highest },
    { title: "page view over HTTP", profile: "HTTP", dueShare: 0.2, concurrencies: highest },
    { title: "mix", profile: "mix", dueShare: 0.2, concurrencies: highest },
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
 * Measures revocations. They run last, because they end the sessions that the loads use. Every client
 * revokes the sessions of the same users, and then of more users until {@link MIN_REVOKING_MS} have passed.
 * So a client that takes a millisecond per user is not measured by its first calls alone, and one that takes
 * a second revokes few.
 */
async function revocations(
  clients: readonly ClientProcess[],
  { sessions, revokedUsers }: Size,
): Promise<Cell> {
  const entries: Entry[] = [];
  for (const client of clients) {
    const durations: number[] = [];
    const began = performance.now();
    for (const user of usersOf(sessions)) {
      if (durations.length >= revokedUsers && performance.now() - began > MIN_REVOKING_MS) break;
      const { ended, ms } = await client.revokeUser(user);
      if (ended !== 10) throw new Error(`${client.name} ended ${ended} sessions of ${user}, who had 10.`);
      durations.push(ms);
    }
    const perSecond = 1000 / median(durations);
    entries.push({
      name: client.name,
      how: await client.revocation(),
      perSecond,
      tenureTimes: (entries[0]?.perSecond ?? perSecond) / perSecond,
    });
  }
  return { cell: REVOCATION, entries };
}

const MIN_REVOKING_MS = 1000;

/** Returns a tenth of the users, spread evenly. */
function usersOf(sessions: number): string[] {
  return Array.from({ length: Math.ceil(sessions / 100) }, (_, i) => userOf(i * 100));
}
