import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { primaryOf, type RedisClient } from "./client.ts";
import type { ReplicaWait } from "./options.ts";
import type { Script } from "./scripts.ts";
import { evaluate, type Run, type Sending, takingBack } from "./sending.ts";

/**
 * Runs scripts, and then waits on their very connection until replicas have what they wrote, for WAIT knows of nothing else. Sent
 * again on another connection, a script writes again, though nothing new (scripts.ts).
 *
 * WAIT holds up all else on its connection. So a primary has one at a time, for all the scripts that came since the last.
 *
 * @param clientPrefix what ioredis puts before keys
 */
export function confirmedByReplicas(
  client: RedisClient,
  { send }: Sending,
  { count, timeout }: ReplicaWait,
  clientPrefix: string,
): Run {
  /** By primary, those who wait for the one before them; nothing where nobody is under way. */
  const next = new Map<string, Job[]>();

  return async (operation, script, key, args) => {
    const call = { script, key, args };
    const { answer, confirmed } = await send(
      operation,
      () => join(call).catch((error: unknown) => afterRedirection(error, call, 0)),
      takingBack(args),
    );
    if (confirmed >= count) return answer;
    throw new StoreError(
      operation,
      `done on the primary, but ${confirmed} of ${count} replicas confirmed within ${timeout} ms: a failover now may undo it`,
    );
  };

  function join(call: Call): Promise<Confirmed> {
    return new Promise((resolve, reject) => enqueue({ call, resolve, reject }));
  }

  function enqueue(job: Job): void {
    const primary = primaryFor(job);
    const waiting = next.get(primary);
    if (waiting) {
      waiting.push(job);
      return;
    }
    next.set(primary, [job]);
    // With all the calls of this turn of the event loop.
    setImmediate(() => void leave(primary));
  }

  async function leave(primary: string): Promise<void> {
    for (let jobs = next.get(primary)!; jobs.length > 0; jobs = next.get(primary)!) {
      next.set(primary, []);
      // The client may have heard meanwhile that a slot has moved, and sends nothing for two primaries together.
      const here: Job[] = [];
      for (const job of jobs) {
        if (primaryFor(job) === primary) here.push(job);
        else enqueue(job);
      }
      if (here.length > 0) await together(here);
    }
    next.delete(primary);
  }

  function primaryFor({ call }: Job): string {
    return primaryOf(client, clientPrefix + call.key);
  }

  async function together(jobs: readonly Job[]): Promise<void> {
    try {
      const pipeline = client.pipeline();
      for (const { call } of jobs) pipeline.eval(call.script.source, 1, call.key, ...call.args);
      const answers = (await pipeline.wait(count, timeout).exec()) ?? [];
      const [unconfirmed, confirmed] = answers[jobs.length] ?? [null, 0];
      for (const [i, { resolve, reject }] of jobs.entries()) {
        const [refused, answer] = answers[i] ?? [null, undefined];
        const error = refused ?? unconfirmed;
        if (error) reject(error);
        else resolve({ answer, confirmed: Number(confirmed) });
      }
    } catch (error) {
      for (const { reject } of jobs) reject(error);
    }
  }

  /**
   * A Cluster's client follows no redirection of one command among many. It follows that of a single one, and remembers; but
   * for a second or so another node may tell it of the slots as they were, so it is led there more than once.
   */
  async function afterRedirection(error: unknown, call: Call, redirections: number): Promise<Confirmed> {
    const redirected = error instanceof Error && /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /.test(error.message);
    if (!redirected || redirections === MAX_REDIRECTIONS) throw error;
    await sleep(20 * redirections);
    await evaluate(client, call.script, call.key, call.args);
    return join(call).catch((another: unknown) => afterRedirection(another, call, redirections + 1));
  }
}

/** As many as ioredis follows. */
const MAX_REDIRECTIONS = 16;

interface Call {
  readonly script: Script;
  readonly key: string;
  readonly args: readonly (string | Buffer)[];
}

interface Confirmed {
  readonly answer: unknown;
  readonly confirmed: number;
}

interface Job {
  readonly call: Call;
  readonly resolve: (confirmed: Confirmed) => void;
  readonly reject: (error: unknown) => void;
}
