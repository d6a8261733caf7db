/** Calls that wait while a batch is on its way leave together in the next one. */
export interface Joining<Call, Answer> {
  readonly batchLimit: number;
  /** Two calls with one key are never in one batch. Absent: any may be. */
  readonly key?: (call: Call) => string;
  /** Resolves with an answer for each call, in their order; what it rejects with is every caller's error. */
  readonly run: (calls: readonly Call[]) => Promise<readonly (Answer | Promise<Answer>)[]>;
}

/** A function that takes one call and answers it, from a batch of whatever was called meanwhile. */
export function joined<Call, Answer>({
  batchLimit,
  key,
  run,
}: Joining<Call, Answer>): (call: Call) => Promise<Answer> {
  let waiting: Waiting<Call, Answer>[] = [];
  let inFlight = 0;
  let scheduled = false;

  return (call) =>
    new Promise<Answer>((resolve, reject) => {
      waiting.push({ call, resolve, reject });
      schedule();
    });

  /** At the end of the turn: the answers of a batch go out together, and their callers' next calls come together. */
  function schedule(): void {
    if (scheduled || inFlight >= IN_FLIGHT || waiting.length === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (waiting.length > 0) void send(takeBatch());
      schedule();
    });
  }

  async function send(batch: readonly Waiting<Call, Answer>[]): Promise<void> {
    inFlight += 1;
    const free = once(() => {
      inFlight -= 1;
      schedule();
    });
    const slow = setTimeout(free, SLOW);
    try {
      const answers = await run(batch.map(({ call }) => call));
      for (const [i, { resolve }] of batch.entries()) resolve(answers[i]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      clearTimeout(slow);
      free();
    }
  }

  function takeBatch(): Waiting<Call, Answer>[] {
    const keys = new Set<string>();
    const batch: Waiting<Call, Answer>[] = [];
    const rest: Waiting<Call, Answer>[] = [];
    for (const item of waiting) {
      const name = key?.(item.call);
      if (batch.length >= batchLimit || (name !== undefined && keys.has(name))) {
        rest.push(item);
      } else {
        if (name !== undefined) keys.add(name);
        batch.push(item);
      }
    }
    waiting = rest;
    return batch;
  }
}

interface Waiting<Call, Answer> {
  readonly call: Call;
  readonly resolve: (answer: Answer | Promise<Answer>) => void;
  readonly reject: (error: unknown) => void;
}

/** Few, so that the others grow. */
const IN_FLIGHT = 2;

/**
 * Milliseconds. A batch that takes longer no longer holds others back: a server that hangs makes each caller wait for the
 * client's own time limit, and not for that of the calls before it too.
 */
const SLOW = 100;

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
