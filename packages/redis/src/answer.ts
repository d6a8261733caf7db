import type { UpdateResult } from "@tenure/core";

/** What a script says: a code, and for some codes a detail. */
export interface Answer {
  readonly code: number;
  readonly detail: string | undefined;
}

/** Codes of scripts.ts. */
export const DONE = 1;
export const NEEDS_INDEX = 3;

const GONE = 0;
const CONFLICT = 2;

export function decodeAnswer(answer: unknown): Answer {
  if (!Array.isArray(answer)) return { code: Number(answer), detail: undefined };
  return { code: Number(answer[0]), detail: String(answer[1]) };
}

export function updateResultOf({ code }: Answer): UpdateResult {
  if (code === GONE) return "gone";
  return code === CONFLICT ? "conflict" : "updated";
}

/** Epoch milliseconds of an answer to TIME: seconds, and microseconds of the second. */
export function decodeTime(answer: unknown): number {
  const [seconds, microseconds] = Array.isArray(answer) ? answer : [];
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}
