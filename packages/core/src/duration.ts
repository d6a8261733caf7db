import { MAX_DURATION } from "./store.ts";

/** Milliseconds, or a number with a unit: `"90s"`, `"30m"`, `"12h"`, `"30d"`, `"1.5h"`. A day is 24 hours. */
export type Duration = number | `${number}${keyof typeof UNITS}`;

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Parses a duration, up to 100 years, into whole milliseconds.
 *
 * @param name the option that the error names
 * @throws TypeError for anything else, including a string without a unit, which is ambiguous
 */
export function parseDuration(name: string, duration: Duration): number {
  const ms = Math.round(milliseconds(duration));
  if (ms >= 1 && ms <= MAX_DURATION) return ms;
  throw new TypeError(
    `${name} must be a positive number of milliseconds or a string such as "30m", "12h" or "30d", up to 100 years`,
  );
}

function milliseconds(duration: unknown): number {
  if (typeof duration === "number") return duration;
  if (typeof duration !== "string") return Number.NaN;
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) ?? [];
  return unit === undefined ? Number.NaN : Number(amount) * UNITS[unit as keyof typeof UNITS];
}
