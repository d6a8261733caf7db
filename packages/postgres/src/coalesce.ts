import { StoreError } from "@tenure/core";
import { isOutOfTime, isUnanswered, isUnsaid, mayBeOneRows, toStoreError, wasUndone } from "./failure.ts";
import { BUSY, type Operation } from "./operations.ts";
import type { Query } from "./driver.ts";
import type { Run } from "./pool.ts";

/** Asks the backend. `key` names the session or user that the call is about: calls of one key keep their order. */
export type Ask = <Call, Answer>(
  operation: Operation<Call, Answer>,
  key: string,
  call: Call,
) => Promise<Answer>;

/**
 * Joins concurrent calls: while two statements are in flight, what arrives waits, and what waits and is of one kind goes
 * together in the next. A call that finds nobody else goes alone, as a plain statement.
 *
 * Of one key at most one call is in flight, and later ones wait for it: their order is the caller's. A statement of the
 * patient kind may wait long for a row, so that only one of the two may be of that kind; who else found a row held asks
 * again by the common kind, now and then.
 *
 * What waits does so within the limits of the pool and the server: where a statement ran into one of them, so has whoever
 * has been waiting since before it.
 */
export function coalesce(run: Run, table: string): Ask {
  const ready = new Map<Operation<unknown, unknown>, Entry[]>();
  let patient: Entry[] = [];
  const lastOf = new Map<string, Entry>();
  let count = 0;
  let weight = 0;
  let inFlight = 0;
  let slowInFlight = 0;
  let patientInFlight = false;
  let starting = false;
  let askingAgain = false;

  return function ask(operation, key, call) {
    return new Promise((resolve, reject) => {
      const caller: Caller = { resolve: resolve as Caller["resolve"], reject };
      const last = lastOf.get(key);
      const joined = last?.operation === operation && operation.merges && !last.sent ? last : undefined;
      const added = joined === undefined ? weightOf(key, call) : CALLER_WEIGHT;
      if (weight + added > MAX_WAITING) {
        reject(new StoreError(operation.name, OVERLOADED));
        return;
      }
      weight += added;
      if (joined !== undefined) {
        joined.callers.push(caller);
        joined.weight += added;
        return;
      }
      count += 1;
      const entry: Entry = {
        operation,
        key,
        call,
        callers: [caller],
        order: count,
        weight: added,
        sent: false,
        next: undefined,
      };
      lastOf.set(key, entry);
      if (last === undefined) queue(entry);
      else last.next = entry;
    });
  };

  function queue(entry: Entry): void {
    const waiting = ready.get(entry.operation);
    if (waiting === undefined) ready.set(entry.operation, [entry]);
    else waiting.push(entry);
    if (starting) return;
    starting = true;
    // Not at once: what the same turn of the event loop still asks is to go along.
    setImmediate(() => {
      starting = false;
      start();
    });
  }

  function start(): void {
    if (inFlight < MAX_IN_FLIGHT && patient.length > 0 && !patientInFlight) {
      void flyPatiently(patient.shift()!).then(start);
    }
    while (inFlight < MAX_IN_FLIGHT) {
      const batch = nextBatch();
      if (batch.length === 0) return;
      void fly(batch).then(start);
    }
  }

  async function fly(batch: readonly Entry[]): Promise<void> {
    const slow = batch[0]!.operation.slow ? 1 : 0;
    const began = count;
    inFlight += 1;
    slowInFlight += slow;
    const error = await together(batch);
    inFlight -= 1;
    slowInFlight -= slow;
    if (isUnanswered(error)) failWhoWaited(began, error);
  }

  /** Not counted as slow: it waits for a row, not for the disk. */
  async function flyPatiently(entry: Entry): Promise<void> {
    const began = count;
    inFlight += 1;
    patientInFlight = true;
    const error = await alone(entry, (call) => entry.operation.patient!(call));
    inFlight -= 1;
    patientInFlight = false;
    if (isUnanswered(error)) failWhoWaited(began, error);
    else if (isOutOfTime(error)) patient = failed(patient, began, error);
  }

  /** Who was asked before a statement began that has run into a limit by now. */
  function failWhoWaited(began: number, error: unknown): void {
    patient = failed(patient, began, error);
    for (const operation of ready.keys()) {
      // One that fails may make the next of its key ready.
      while (ready.get(operation)!.some(({ order }) => order <= began)) {
        ready.set(operation, failed(ready.get(operation)!, began, error));
      }
    }
  }

  /** Answers who is left. */
  function failed(waiting: readonly Entry[], began: number, error: unknown): Entry[] {
    for (const entry of waiting) if (entry.order <= began) fail(entry, error);
    return waiting.filter(({ order }) => order > began);
  }

  /** Of the kind that has waited longest, as many as go into one statement. */
  function nextBatch(): Entry[] {
    // While one statement may take long, the other connection is for those that don't.
    const oldest = (slowInFlight > 0 ? oldestReady(false) : undefined) ?? oldestReady(true);
    if (oldest === undefined) return [];
    let size = 0;
    let bytes = 0;
    const most = atMost(oldest[0]!.operation, oldest.length);
    while (size < most && (size === 0 || bytes + oldest[size]!.weight <= MAX_BATCH_WEIGHT)) {
      bytes += oldest[size]!.weight;
      size += 1;
    }
    const batch = oldest.splice(0, size);
    for (const entry of batch) entry.sent = true;
    return batch;
  }

  function oldestReady(evenSlow: boolean): Entry[] | undefined {
    let oldest: Entry[] | undefined;
    for (const [{ slow }, waiting] of ready) {
      if (waiting.length === 0 || (slow && !evenSlow)) continue;
      if (oldest === undefined || waiting[0]!.order < oldest[0]!.order) oldest = waiting;
    }
    return oldest;
  }

  /** Where many wait and nothing is in flight, two halves: one is decoded here while the server is at the other. */
  function atMost(operation: Operation<unknown, unknown>, waiting: number): number {
    if (operation.many === undefined) return 1;
    return Math.min(inFlight === 0 && waiting >= WORTH_HALVING ? Math.ceil(waiting / 2) : waiting, MAX_BATCH);
  }

  /** Answers an error of it, for who wants to look at it. */
  async function together(batch: readonly Entry[]): Promise<unknown> {
    const { operation } = batch[0]!;
    if (batch.length === 1) return alone(batch[0]!, (call) => operation.one(call));
    const calls = batch.map(({ call }) => call);
    try {
      const answers = await undisturbed(
        (isolation) => run(operation.many!(calls), (rows) => operation.answers(rows, calls), isolation),
        3,
      );
      batch.forEach((entry, index) => answer(entry, answers[index]));
      return undefined;
    } catch (error) {
      if (mayBeOneRows(error)) return oneByOne(batch);
      for (const entry of batch) fail(entry, error);
      return error;
    }
  }

  /** After a batch that failed: whom the error concerns has it again, the others have their answers. */
  async function oneByOne(batch: readonly Entry[]): Promise<unknown> {
    let timeouts = 0;
    for (const [index, entry] of batch.entries()) {
      const error = await alone(entry, (call) => entry.operation.one(call));
      timeouts = isOutOfTime(error) ? timeouts + 1 : 0;
      if (timeouts === MAX_TIMEOUTS || isUnsaid(error)) {
        for (const left of batch.slice(index + 1)) fail(left, error);
        return error;
      }
    }
    return undefined;
  }

  async function alone(entry: Entry, form: (call: unknown) => Query): Promise<unknown> {
    const { operation, call } = entry;
    try {
      const [only] = await undisturbed(
        (isolation) => run(form(call), (rows) => operation.answers(rows, [call]), isolation),
        MAX_ATTEMPTS,
      );
      answer(entry, only);
      return undefined;
    } catch (error) {
      fail(entry, error);
      return error;
    }
  }

  function answer(entry: Entry, value: unknown): void {
    if (value === BUSY) {
      patient.push(entry);
      askAgainSoon();
      return;
    }
    leave(entry);
    for (const { resolve } of entry.callers) resolve(value);
  }

  /** The one row that is waited for may be held for long, those of the others for a moment. */
  function askAgainSoon(): void {
    if (askingAgain) return;
    askingAgain = true;
    setTimeout(
      () => {
        askingAgain = false;
        for (const entry of patient.splice(0)) queue(entry);
      },
      10 + Math.random() * 40,
    );
  }

  function fail(entry: Entry, error: unknown): void {
    leave(entry);
    for (const { reject } of entry.callers) reject(toStoreError(entry.operation.name, table, error));
  }

  function leave(entry: Entry): void {
    weight -= entry.weight;
    if (entry.next !== undefined) queue(entry.next);
    else lastOf.delete(entry.key);
  }
}

/**
 * Again what was undone as a whole, by a deadlock or a serialization failure: nothing of it has happened. Above READ
 * COMMITTED, to write many rows that others write all the time would fail each time, and so it is not tried there again.
 */
async function undisturbed<Answer>(
  attempt: (isolation?: "read committed") => Promise<Answer>,
  attempts: number,
): Promise<Answer> {
  for (let failures = 0; ;) {
    try {
      return await attempt(failures === 0 ? undefined : "read committed");
    } catch (error) {
      failures += 1;
      if (failures === attempts || !wasUndone(error)) throw error;
      await pause(Math.random() * Math.min(2 ** failures, 100));
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

interface Entry {
  readonly operation: Operation<unknown, unknown>;
  readonly key: string;
  readonly call: unknown;
  readonly callers: Caller[];
  readonly order: number;
  /** About how many bytes it keeps. */
  weight: number;
  sent: boolean;
  /** The next call of the same key. */
  next: Entry | undefined;
}

interface Caller {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: StoreError) => void;
}

function weightOf(key: string, call: unknown): number {
  return CALLER_WEIGHT + 2 * (key.length + dataLength(call));
}

function dataLength(call: unknown): number {
  if (typeof call !== "object" || call === null || !("data" in call)) return 0;
  return typeof call.data === "string" ? call.data.length : 0;
}

const OVERLOADED = "too many calls wait for PostgreSQL: it answers more slowly than it is asked";

const MAX_IN_FLIGHT = 2;
const MAX_BATCH = 500;
const WORTH_HALVING = 16;
const MAX_BATCH_WEIGHT = 4 * 1024 * 1024;

/** Bytes, about, that a call keeps beside its data. */
const CALLER_WEIGHT = 200;

/** Bytes, about, of calls that wait or are in flight. */
const MAX_WAITING = 256 * 1024 * 1024;

/** With pauses of up to 100 ms: who deadlocks with others time and again gets through between them. */
const MAX_ATTEMPTS = 20;

/** After so many timeouts in a row it is not one row that hangs. */
const MAX_TIMEOUTS = 3;
