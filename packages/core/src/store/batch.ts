import { StoreError } from "../errors.ts";
import { clearTimeout, setImmediate, setTimeout } from "./real-time.ts";

/** How concurrent calls are joined into batches. */
export interface BatchOptions<Call, Result> {
  /** How many batches may be under way at once. Default: any number. */
  readonly slots?: number;
  /**
   * Milliseconds after which a batch gives up its slot, so that calls do not wait for those before them while the server does not reply.
   * Default: it keeps the slot until it settles.
   */
  readonly patience?: number;
  /**
   * Whether the rejection of a batch means that no reply came in time. After three in a row, calls that had waited when the last of them began
   * reject with it: to wait in turn would add their times up. Default: never.
   */
  readonly isOutOfTime?: (error: unknown) => boolean;
  /** How many calls a batch may have. */
  readonly limit: number;
  /** How many bytes the calls of a batch may have together, by `sizeOf`. One larger call makes a batch of its own. Default: any number. */
  readonly maxBytes?: number;
  readonly sizeOf?: (call: Call) => number;
  /**
   * Calls with the same key keep their order: they are never in one batch, and never in two batches under way at once. Absent: calls are
   * independent of each other.
   */
  readonly key?: (call: Call) => string;
  /**
   * Splits the calls of a batch into parts, in the order in which they are to begin. Each part is run and settled as a batch of its own.
   * Default: it is one part.
   */
  readonly split?: <One extends { readonly call: Call }>(queued: readonly One[]) => One[][];
  /**
   * Runs a batch and resolves to one result per call, in order. A result that is an `Error` rejects that call alone; a rejection
   * rejects all calls of the batch. Retrying, splitting a failed batch and deadlines belong here.
   */
  readonly run: (calls: readonly Call[]) => Promise<readonly (Result | Error)[]>;
}

/**
 * Joins concurrent calls into batches. A batch collects the calls of one turn of the event loop. It leaves when the turn ends and
 * a slot is free; while none is free, further calls join it.
 *
 * With more than one slot, at most 32 calls leave in one turn, or half of those that wait, and the others in the next. So the server
 * works on some while this process works on the replies to the others; all in one batch would make each wait for the other. Once 32 wait,
 * they leave at the end of the callback that made them, before the next reply is read: node-redis writes a command a turn after it got it.
 *
 * @returns a function that makes one call
 */
export function batched<Call, Result>(options: BatchOptions<Call, Result>): (call: Call) => Promise<Result> {
  const {
    slots = Number.POSITIVE_INFINITY,
    patience,
    isOutOfTime,
    limit,
    maxBytes = Number.POSITIVE_INFINITY,
    sizeOf,
    key,
    split,
    run,
  } = options;
  let waiting: Waiting<Call, Result>[] = [];
  const busyKeys = new Set<string>();
  let underWay = 0;
  let begun = 0;
  let timeouts = 0;
  let isScheduled = false;
  /** Whether calls have left in this turn, so that no more may. */
  let hasLeft = false;

  return (call) =>
    new Promise<Result>((resolve, reject) => {
      waiting.push(new Waiting(call, resolve, reject, begun));
      if (underWay >= slots || hasLeft) return;
      if (!isScheduled) schedule();
      if (slots > 1 && waiting.length === PER_TURN) process.nextTick(leave);
    });

  function schedule(): void {
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      leave();
    });
  }

  function leave(): void {
    if (hasLeft) return;
    const later = slots > 1 ? waiting.splice(Math.max(PER_TURN, Math.ceil(waiting.length / 2))) : [];
    while (underWay < slots && waiting.length > 0) {
      const batch = nextBatch();
      if (batch.length === 0) break;
      for (const part of split ? split(batch) : [batch]) {
        underWay += 1;
        void runBatch(part);
      }
      hasLeft = slots > 1;
    }
    if (later.length > 0) waiting = waiting.concat(later);
    // Not the immediate that may be scheduled already, which would come before node-redis' own.
    if (hasLeft) setImmediate(nextTurn);
  }

  function nextTurn(): void {
    hasLeft = false;
    leave();
  }

  function nextBatch(): Waiting<Call, Result>[] {
    if (!key && !sizeOf && waiting.length <= limit) {
      const batch = waiting;
      waiting = [];
      return batch;
    }
    const batch: Waiting<Call, Result>[] = [];
    const left: Waiting<Call, Result>[] = [];
    // A later call must not overtake an earlier one of its key that stays behind.
    const passedOver = new Set<string>();
    let bytes = 0;
    for (const one of waiting) {
      const its = key?.(one.call);
      const size = sizeOf ? sizeOf(one.call) : 0;
      const fits = batch.length < limit && (batch.length === 0 || bytes + size <= maxBytes);
      if (!fits || (its !== undefined && (busyKeys.has(its) || passedOver.has(its)))) {
        left.push(one);
        if (its !== undefined) passedOver.add(its);
        continue;
      }
      if (its !== undefined) busyKeys.add(its);
      bytes += size;
      batch.push(one);
    }
    waiting = left;
    return batch;
  }

  /** Rejects what waited when a batch began. */
  function rejectOlder(number: number, error: unknown): void {
    const older = waiting.filter(({ after }) => after < number);
    waiting = waiting.filter(({ after }) => after >= number);
    for (const { reject } of older) reject(error);
  }

  async function runBatch(batch: Waiting<Call, Result>[]): Promise<void> {
    const calls = batch.map(({ call }) => call);
    const number = (begun += 1);
    let holdsSlot = true;
    const timer = patience === undefined ? undefined : setTimeout(giveUpSlot, patience);
    try {
      const results = await run(calls);
      timeouts = 0;
      if (results.length !== batch.length)
        throw new StoreError("update", "a batch got a wrong number of results");
      for (let at = 0; at < batch.length; at += 1) {
        const result = results[at] as Result | Error;
        if (result instanceof Error) batch[at]!.reject(result);
        else batch[at]!.resolve(result);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
      timeouts = isOutOfTime?.(error) ? timeouts + 1 : 0;
      if (timeouts >= MAX_TIMEOUTS) rejectOlder(number, error);
    } finally {
      clearTimeout(timer);
      if (key) for (const call of calls) busyKeys.delete(key(call));
      batch.length = 0;
      giveUpSlot();
    }

    function giveUpSlot(): void {
      if (holdsSlot) underWay -= 1;
      holdsSlot = false;
      if (waiting.length > 0 && !isScheduled && !hasLeft) schedule();
    }
  }
}

/** It is not one statement that takes long, or one row that is held. */
const MAX_TIMEOUTS = 3;

/** 64 concurrent page views on node-redis: with 32, the process waits for 2 % of the time, and with all in one command for 13 %. */
const PER_TURN = 32;

/**
 * A class, because V8 allocates what a literal makes among the old objects, once it has seen many of them live through a collection. There each
 * would keep its promise, and all that hangs on it, until the next collection of old objects. For the same reason a batch is emptied
 * when it is done. A page view on ioredis took 13 µs instead of 9.
 */
class Waiting<Call, Result> {
  readonly call: Call;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  /** How many batches had begun before this call. */
  readonly after: number;

  constructor(
    call: Call,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
    after: number,
  ) {
    this.call = call;
    this.resolve = resolve;
    this.reject = reject;
    this.after = after;
  }
}
