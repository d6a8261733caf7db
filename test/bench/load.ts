import type { Store } from "express-session";
import { cpuTime } from "./cpu.ts";
import { type Requests, requestsOn } from "./requests.ts";
import { userOf } from "./session-data.ts";

/**
 * A mix of requests. `page view`: only page views. `mix`: 85 % page views, 10 % changes, 2.5 % logins, 2.5 %
 * logouts.
 */
export type Profile = "page view" | "mix";

/** A competitor's sessions: those that exist for the whole run, and those that the load creates. */
export interface Population {
  readonly requests: Requests;
  readonly tokens: readonly string[];
  readonly loadTokens: string[];
}

export async function populate(store: Store, sessions: number): Promise<Population> {
  const requests = requestsOn(store);
  const tokens: string[] = [];
  for (let from = 0; from < sessions; from += 250) {
    const batch = Array.from({ length: Math.min(250, sessions - from) }, (_, i) =>
      requests.login(userOf(from + i)),
    );
    tokens.push(...(await Promise.all(batch)));
  }
  return { requests, tokens, loadTokens: [] };
}

export interface Slice {
  readonly requestsPerSecond: number;
  /** CPU time per request in microseconds. */
  readonly clientMicros: number;
  /** Absent: the server is not a process of this run. */
  readonly serverMicros?: number;
}

/**
 * Runs a closed loop: each of `concurrency` clients sends its next request when the last one has succeeded.
 */
export async function slice(
  profile: Profile,
  concurrency: number,
  ms: number,
  population: Population,
  serverPid: number | undefined,
): Promise<Slice> {
  const request = profile === "mix" ? mixedRequest : pageView;
  let count = 0;
  const serverBefore = serverPid === undefined ? 0 : cpuTime(serverPid);
  const clientBefore = process.cpuUsage();
  const began = performance.now();
  const end = began + ms;

  async function client(): Promise<void> {
    while (performance.now() < end) {
      await request(population);
      count += 1;
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client));

  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(clientBefore);
  const measured = { requestsPerSecond: count / seconds, clientMicros: (user + system) / count };
  if (serverPid === undefined) return measured;
  return { ...measured, serverMicros: (cpuTime(serverPid) - serverBefore) / count };
}

function pageView({ requests, tokens }: Population): Promise<void> {
  return requests.pageView(anyOf(tokens));
}

async function mixedRequest(population: Population): Promise<void> {
  const { requests, tokens, loadTokens } = population;
  const chance = Math.random();
  if (chance < 0.85) return requests.pageView(anyOf(tokens));
  if (chance < 0.95) return requests.change(anyOf(tokens));
  const oldest = chance < 0.975 ? undefined : loadTokens.shift();
  if (oldest !== undefined) return requests.logout(oldest);
  loadTokens.push(await requests.login(`visitor-${Math.floor(Math.random() * VISITORS)}`));
}

/** The number of users who log in during the load. Each has a few sessions at a time. */
const VISITORS = 1000;

function anyOf(tokens: readonly string[]): string {
  return tokens[Math.floor(Math.random() * tokens.length)] ?? "";
}
