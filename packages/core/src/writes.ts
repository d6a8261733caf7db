import { setTimeout as sleep } from "node:timers/promises";
import type { StoreContext } from "./store-context.ts";
import { Draft } from "./draft.ts";
import type { StoredSession } from "./envelope.ts";
import { StoreError } from "./errors.ts";
import { publish } from "./events.ts";
import type { UpdateResult } from "./store.ts";
import { unlessOver } from "./timeouts.ts";

export interface Change<Data extends object> {
  /**
   * Makes the change to a draft. Runs again after a conflict with another process. With `survivesFailure`, it
   * may run on a draft that already has the change, and must then change nothing.
   *
   * @returns `"dropped"`: it is too late for the change. `"end"`: end the session instead
   */
  readonly apply: (draft: Draft<Data>) => "applied" | "dropped" | "end";
  /**
   * Whether to try again after one failure of the store, for a change that gives out a new token. Other
   * changes reject, because they cannot recognise whether the failed update was stored.
   */
  readonly survivesFailure?: boolean;
}

export type Outcome =
  | { readonly state: "stored"; readonly stored: StoredSession }
  /** The change was too late. `stored`: the session without it. */
  | { readonly state: "dropped"; readonly stored: StoredSession }
  /** The change ended the session. `wasAlive`: the session was alive until then. */
  | { readonly state: "ended"; readonly wasAlive: boolean }
  /** The session is dead. */
  | { readonly state: "gone" }
  /** The store refused a login, in this change or in one that left with it, and ended the session. */
  | { readonly state: "fenced" };

/**
 * Writes to stored sessions. In one process, the changes of one session wait for each other, and one update
 * makes all that wait, in order. A change that cannot be stored rejects alone. After a conflict with another
 * process, the changes are made again to the stored session.
 */
export class Writes<Data extends object> {
  readonly #ctx: StoreContext<Data>;
  #queues = new Map<string, Queue<Data>>();
  #done = 0;

  constructor(ctx: StoreContext<Data>) {
    this.#ctx = ctx;
  }

  /**
   * @param seen the session as the caller last saw it
   * @throws StoreError if the backend fails, or if too many changes of one session wait
   * @throws TypeError for data or a user that cannot be stored, before anything is written
   */
  write(seen: StoredSession, change: Change<Data>): Promise<Outcome> {
    const { id } = seen.record;
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(id);
      if (queue && queue.waiting.length >= MAX_WAITING) {
        return reject(
          new StoreError("update", "too many changes of one session wait: send fewer concurrent requests"),
        );
      }
      const job = { seen, change, resolve, reject };
      if (queue) return void queue.waiting.push(job);
      const started: Queue<Data> = { waiting: [job], latest: seen };
      this.#queues.set(id, started);
      return void this.#run(id, started);
    });
  }

  async #run(id: string, queue: Queue<Data>): Promise<void> {
    try {
      while (queue.waiting.length > 0) await this.#commit(id, queue, queue.waiting.splice(0));
    } finally {
      this.#queues.delete(id);
      // V8 links each table of a Map to its replacement. Once a table is in old space, it retains all later
      // tables and what they held until the next major collection: 8 kB a save. A copy has no such link.
      this.#done += 1;
      if (this.#done % COPY_EVERY === 0) this.#queues = new Map(this.#queues);
    }
  }

  /**
   * Settles every job. Never rejects.
   *
   * @param isRetry the store has failed once, and may have made the jobs' changes
   */
  async #commit(id: string, queue: Queue<Data>, jobs: readonly Job<Data>[], isRetry = false): Promise<void> {
    try {
      await this.#tryToCommit(id, queue, jobs, isRetry);
    } catch (error) {
      if (!(error instanceof StoreError) && jobs.length > 1) {
        for (const job of jobs) await this.#commit(id, queue, [job], isRetry);
        return;
      }
      for (const { reject } of jobs) reject(error);
    }
  }

  async #tryToCommit(
    id: string,
    queue: Queue<Data>,
    jobs: readonly Job<Data>[],
    isRetry: boolean,
  ): Promise<void> {
    const { store, clock } = this.#ctx;
    let base = isRetry ? await this.#read(id) : newest([queue.latest, ...jobs.map(({ seen }) => seen)]);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      base = base && (await unlessOver(this.#ctx, base));
      if (!base) return settle(jobs, () => ({ state: "gone" }));
      const draft = new Draft(this.#ctx, base);
      const results = jobs.map(({ change }) => change.apply(draft));
      if (results.includes("end")) {
        const wasAlive = await store.revoke(id);
        return settle(jobs, (at) =>
          results[at] === "end" ? { state: "ended", wasAlive } : { state: "gone" },
        );
      }
      const changes = draft.changes();
      let written: UpdateResult | null;
      try {
        written = changes && (await store.update(id, changes));
      } catch (error) {
        const surviving = jobs.filter(({ change }) => change.survivesFailure);
        if (isRetry || surviving.length === 0 || !(error instanceof StoreError)) throw error;
        // The update may have been stored, and only these jobs recognise their change.
        for (const { change, reject } of jobs) if (!change.survivesFailure) reject(error);
        return this.#commit(id, queue, surviving, true);
      }
      if (written === "gone" || written === "fenced") {
        return settle(jobs, (at) => ({ state: results[at] === "dropped" ? "gone" : written }));
      }
      if (written !== "conflict") {
        const stored: StoredSession = changes ? draft.stored(changes, Math.floor(clock.earliest())) : base;
        queue.latest = stored;
        const isMerged = attempt > 1 && results.includes("applied");
        if (isMerged) publish("conflict-merged", { id, userId: stored.record.userId });
        return settle(jobs, (at) => ({ state: results[at] === "dropped" ? "dropped" : "stored", stored }));
      }
      // Without a random pause, processes that conflicted once would keep conflicting.
      if (attempt > 1) await sleep(Math.random() * Math.min(100, 5 * attempt));
      base = await this.#read(id);
    }
    throw new StoreError("update", "too many processes change one session: send fewer concurrent requests");
  }

  async #read(id: string): Promise<StoredSession | null> {
    const record = await this.#ctx.store.read(id);
    return record && this.#ctx.envelopes.openRecord(record);
  }
}

interface Queue<Data extends object> {
  waiting: Job<Data>[];
  /** The session as this process last stored it. */
  latest: StoredSession;
}

interface Job<Data extends object> {
  readonly seen: StoredSession;
  readonly change: Change<Data>;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

const COPY_EVERY = 256;
/** More than the concurrent requests of one browser. */
const MAX_WAITING = 1000;
/** More than the processes that change one session concurrently. */
const MAX_ATTEMPTS = 64;

function newest([first, ...others]: readonly StoredSession[]): StoredSession {
  return others.reduce((latest, one) => (one.record.version > latest.record.version ? one : latest), first!);
}

function settle(jobs: readonly Pick<Job<never>, "resolve">[], outcome: (at: number) => Outcome): void {
  for (const [at, { resolve }] of jobs.entries()) resolve(outcome(at));
}
