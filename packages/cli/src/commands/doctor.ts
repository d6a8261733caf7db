import type { SessionStore } from "@tenure/core";
import type { Context, Outcome } from "../command.ts";
import { type Finding, ok, unknown, warning } from "../finding.ts";

/** Checks everything that the store needs from its server, and prints what to change. */
export async function doctor({ terminal, backend }: Context): Promise<Outcome> {
  const findings = [...(await backend.check()), await checkClock(backend.store)];
  const lines = findings.flatMap(({ check, status, message, remedy }) => [
    `${status.padEnd(8)} ${check.padEnd(13)} ${message}`,
    ...(remedy === undefined ? [] : [`${" ".repeat(23)}-> ${remedy}`]),
  ]);
  terminal.result({ store: backend.label, findings }, [backend.label, "", ...lines].join("\n"));
  return findings.some(({ status }) => status === "problem") ? 1 : 0;
}

/** The checks before this one have found why the server reports no time, such as that it is a standby. */
async function checkClock(store: SessionStore): Promise<Finding> {
  return compareClocks(store).catch(({ message }: Error) => unknown("clock", message));
}

/** Compares the server's clock with this machine's, over the fastest of a few round trips. */
async function compareClocks(store: SessionStore): Promise<Finding> {
  let fastest = Number.POSITIVE_INFINITY;
  let skew = 0;
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const askedAt = Date.now();
    const server = await store.now();
    const took = Date.now() - askedAt;
    if (took >= fastest) continue;
    fastest = took;
    skew = server - (askedAt + took / 2);
  }
  // The error of the measurement is at most half the round trip.
  const ms = Math.round(Math.max(0, Math.abs(skew) - fastest / 2));
  if (ms <= TOLERANCE) {
    return ok("clock", `the server's clock and this machine's differ by ${ms} ms or less`);
  }
  return warning(
    "clock",
    `the server's clock is ${ms} ms ${skew > 0 ? "ahead of" : "behind"} this machine's`,
    "run NTP on both: sessions end by the server's clock, and cookies by the browser's",
  );
}

const SAMPLES = 5;
/** Milliseconds. */
const TOLERANCE = 1000;
