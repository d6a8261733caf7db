import { randomBytes } from "node:crypto";
import { memoryStore } from "@tenure/core";
import session from "express-session";
import memorystore from "memorystore";
import { IDLE } from "./competitor.ts";
import { sessionData, userOf } from "./session-data.ts";

/**
 * The longest duration of one kind of call, while a store in memory is filled, read, and emptied by expiry.
 */
export interface Pause {
  readonly name: string;
  readonly during: string;
  /** In milliseconds, including the garbage collector's share. */
  readonly longest: number;
}

/**
 * Measures the two stores one after the other. With both in memory, each figure would include the garbage
 * collector's work for both.
 */
export async function pauses(sessions: number): Promise<Pause[]> {
  const found = await tenurePauses(sessions);
  globalThis.gc?.();
  return [...found, ...(await memorystorePauses(sessions))];
}

async function tenurePauses(sessions: number): Promise<Pause[]> {
  let now = Date.now();
  const store = memoryStore({ clock: () => now });
  const ids: string[] = [];
  const name = "Tenure";
  const filling = await longestOf(sessions, async (i) => {
    const id = randomBytes(32).toString("hex");
    ids.push(id);
    const data = JSON.stringify(sessionData(userOf(i)));
    await store.create({ id, userId: userOf(i), data, idle: IDLE, lifetime: 2 * IDLE });
  });
  const reading = await longestOf(sessions, (i) => store.read(ids[i] ?? ""));
  now += IDLE + 120_000;
  // Every call sweeps some expired sessions.
  const sweeping = await longestOf(sessions, () => store.read("nobody"));
  return [
    { name, during: "create", longest: filling },
    { name, during: "read", longest: reading },
    { name, during: "read, while all are swept", longest: sweeping },
  ];
}

async function memorystorePauses(sessions: number): Promise<Pause[]> {
  const store = new (memorystore(session))({ checkPeriod: 86_400_000 });
  const tokens: string[] = [];
  const name = "memorystore";
  const filling = await longestOf(sessions, async (i) => {
    const token = randomBytes(24).toString("base64url");
    tokens.push(token);
    const cookie = { originalMaxAge: IDLE, maxAge: IDLE };
    store.set(token, { ...sessionData(userOf(i)), cookie });
  });
  const reading = await longestOf(
    sessions,
    (i) => new Promise((resolve) => store.get(tokens[i] ?? "", resolve)),
  );
  const pruning = await longestOf(1, async () => store.prune());
  store.stopInterval();
  return [
    { name, during: "set", longest: filling },
    { name, during: "get", longest: reading },
    { name, during: "prune", longest: pruning },
  ];
}

async function longestOf(times: number, call: (i: number) => Promise<unknown>): Promise<number> {
  let longest = 0;
  for (let i = 0; i < times; i += 1) {
    const began = performance.now();
    await call(i);
    longest = Math.max(longest, performance.now() - began);
  }
  return longest;
}
