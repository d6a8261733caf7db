import { StoreError, type StoreOperation, type UpdateResult } from "@tenure/core";

/** What a script says: a code, and for some codes a detail. */
export interface Answer {
  readonly code: number;
  readonly detail: string | undefined;
}

/** Codes of scripts.ts. */
export const DONE = 1;
export const NEEDS_INDEX = 3;
export const FOREIGN = 4;

const GONE = 0;
const CONFLICT = 2;
const CODES = new Set([GONE, DONE, CONFLICT, NEEDS_INDEX, FOREIGN]);

/** @throws StoreError for what no script answers */
export function decodeAnswer(operation: StoreOperation, answer: unknown): Answer {
  const [code, detail] = Array.isArray(answer) ? answer : [answer];
  if (!CODES.has(Number(code))) throw new StoreError(operation, "Redis answered what no script does");
  return { code: Number(code), detail: detail === undefined ? undefined : String(detail) };
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
