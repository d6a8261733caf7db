import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import type { Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import session from "express-session";
import type { DeviceSession } from "../device-session.ts";
import { openTrack } from "./track.ts";

export interface Step {
  /** Milliseconds since the race began. */
  readonly at: number;
  readonly who: "phone" | "laptop";
  readonly what: string;
}

export interface RaceResult {
  readonly contestant: "MemoryStore" | "Tenure";
  readonly steps: readonly Step[];
  /** Whether the phone is signed in again although it was logged out. */
  readonly cameBack: boolean;
}

/** Runs the same race against express-session's own MemoryStore and against Tenure, concurrently. */
export async function runRace(sessions: Sessions<DeviceSession>): Promise<readonly RaceResult[]> {
  const person = `race-${randomUUID()}`;
  const memory = new session.MemoryStore();
  return Promise.all([
    race("MemoryStore", person, memory, () => destroyAllOf(memory, person)),
    race("Tenure", person, expressSessionStore(sessions), () => sessions.revokeAllForUser(person)),
  ]);
}

async function race(
  contestant: RaceResult["contestant"],
  person: string,
  store: session.Store,
  logOutEverywhere: () => Promise<number>,
): Promise<RaceResult> {
  await using track = await openTrack({ store, person, logOutEverywhere });
  const phone = track.browser();
  const laptop = track.browser();
  const steps: Step[] = [];
  const startedAt = performance.now();
  const addStep = (who: Step["who"], what: string): void => {
    steps.push({ at: Math.round(performance.now() - startedAt), who, what });
  };

  await phone.post("/sign-in");
  addStep("phone", "signs in");
  await laptop.post("/sign-in");
  addStep("laptop", "signs in");

  const slow = phone.post("/slow");
  await track.slowHasBegun;
  addStep("phone", "sends a slow request: its session is loaded, and its work continues");
  const ended = await laptop.post("/log-out-everywhere");
  addStep("laptop", `logs out everywhere: ${ended} sessions ended`);
  const loggedOut = await phone.get("/who");
  addStep("phone", loggedOut === person ? "is still signed in" : "asks who it is: nobody");
  track.finishSlow();
  await slow;
  addStep("phone", "gets the slow request’s response, and its session is saved late");
  const cameBack = (await phone.get("/who")) === person;
  addStep("phone", cameBack ? "asks who it is: signed in again" : "asks who it is: nobody");

  // End the session that came back.
  await logOutEverywhere();
  return { contestant, steps, cameBack };
}

/**
 * Logs a person out as applications do without Tenure: reads all sessions, and destroys those of this person.
 */
async function destroyAllOf(store: session.MemoryStore, person: string): Promise<number> {
  // Its type also allows an array, which it never is.
  const all = await promisify(store.all.bind(store))();
  const mine = Object.entries(all ?? {}).filter(([, data]) => data.userId === person);
  await Promise.all(mine.map(([token]) => promisify(store.destroy.bind(store))(token)));
  return mine.length;
}
