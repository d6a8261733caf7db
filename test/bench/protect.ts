import { randomBytes } from "node:crypto";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { IDLE } from "./competitor.ts";
import { median } from "./median.ts";
import { type Requests, requestsOn } from "./requests.ts";
import { userOf } from "./session-data.ts";

/** The client's CPU time per request, without and with the option `protect`, in microseconds. */
export interface ProtectCost {
  readonly during: "page view" | "get and set";
  readonly plain: number;
  readonly isProtected: number;
}

/**
 * Measures sessions of 0.9 KB with and without `protect`. They are in memory, so that no server affects the
 * figures. The two take turns, so that a disturbance affects both. The figures are the medians of the turns.
 */
export async function protectCosts(turns: number, perTurn: number): Promise<ProtectCost[]> {
  const protect = { keys: [{ id: "bench", key: randomBytes(32) }] };
  const [plain, secured] = [await siteWith({}), await siteWith({ protect })];
  const costs: ProtectCost[] = [];
  for (const during of ["page view", "get and set"] as const) {
    const found = { plain: [] as number[], isProtected: [] as number[] };
    for (let turn = -1; turn < turns; turn += 1) {
      const [one, two] = [await cpuOf(plain, during, perTurn), await cpuOf(secured, during, perTurn)];
      // The first turn warms up.
      if (turn < 0) continue;
      found.plain.push(one);
      found.isProtected.push(two);
    }
    costs.push({ during, plain: median(found.plain), isProtected: median(found.isProtected) });
  }
  return costs;
}

interface Site {
  readonly requests: Requests;
  readonly tokens: readonly string[];
}

async function siteWith(options: object): Promise<Site> {
  const sessions = new Sessions({ store: memoryStore(), idleTimeout: IDLE, lifetime: "12h", ...options });
  const requests = requestsOn(expressSessionStore(sessions));
  const tokens: string[] = [];
  for (let i = 0; i < 1000; i += 1) tokens.push(await requests.login(userOf(i)));
  return { requests, tokens };
}

/** Returns the CPU time per request in microseconds. */
async function cpuOf(
  { requests, tokens }: Site,
  during: ProtectCost["during"],
  times: number,
): Promise<number> {
  globalThis.gc?.();
  const before = process.cpuUsage();
  for (let i = 0; i < times; i += 1) {
    const token = tokens[i % tokens.length] ?? "";
    await (during === "page view" ? requests.pageView(token) : requests.change(token));
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / times;
}
