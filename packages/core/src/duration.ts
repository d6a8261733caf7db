import { MAX_DURATION } from "./store.ts";

/** Milliseconds, or a number with its unit: `"90s"`, `"30m"`, `"12h"`, `"30d"`, `"1.5h"`. A day has 24 hours. */
export type Duration = number | `${number}${keyof typeof UNITS}`;

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * The milliseconds of a duration that a person wrote, as a whole number from 1 to 100 years.
 *
 * @param name what the error calls it
 * @throws TypeError for anything else, also for a string without a unit, whose meaning is a guess
 */
export function parseDuration(name: string, duration: Duration): number {
  const ms = Math.round(milliseconds(duration));
  if (ms >= 1 && ms <= MAX_DURATION) return ms;
  throw new TypeError(
    `${name} must be milliseconds above 0 or a string as "30m", "12h" or "30d", up to 100 years`,
  );
}

function milliseconds(duration: unknown): number {
  if (typeof duration === "number") return duration;
  if (typeof duration !== "string") return Number.NaN;
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) ?? [];
  return unit === undefined ? Number.NaN : Number(amount) * UNITS[unit as keyof typeof UNITS];
}
