import type { SessionStore } from "@tenure/core";
import { absence } from "./chapters/absence.ts";
import { cost } from "./chapters/cost.ts";
import { creation } from "./chapters/creation.ts";
import { durability } from "./chapters/durability.ts";
import { expiry } from "./chapters/expiry.ts";
import { histories } from "./chapters/histories.ts";
import { hostile } from "./chapters/hostile.ts";
import { lifetime } from "./chapters/lifetime.ts";
import { outage } from "./chapters/outage.ts";
import { races } from "./chapters/races.ts";
import { records } from "./chapters/records.ts";
import { revocation } from "./chapters/revocation.ts";
import { revokeAll } from "./chapters/revoke-all.ts";
import { scanning } from "./chapters/scanning.ts";
import { updates } from "./chapters/updates.ts";
import { userIndex } from "./chapters/user-index.ts";
import { openBackend } from "./backend.ts";
import { type Chapter, perform } from "./chapter.ts";
import { chooseSeed } from "./seed.ts";

/** The test runner's own functions, as vitest and `node:test` export them. */
export interface Runner {
  readonly describe: (name: string, options: SuiteOptions, body: () => void) => unknown;
  readonly test: (name: string, options: TestOptions, body: () => Promise<void>) => unknown;
}

/** What the suite asks of `describe`. `concurrent` is vitest's word, `concurrency` is that of `node:test`. */
export interface SuiteOptions {
  readonly concurrent: boolean;
  readonly concurrency: number;
}

/** What the suite asks of `test`: milliseconds that only a store that hangs ever needs. */
export interface TestOptions {
  readonly timeout: number;
}

export interface StoreUnderTest {
  /** Stands before the name of each chapter, for a run that tests several stores. */
  readonly name?: string;
  /**
   * Opens the store. Called twice, when the first test runs: both must be on one backend, as two processes would be.
   * The backend may hold other sessions; what the suite leaves behind expires within a day.
   */
  readonly open: () => SessionStore | Promise<SessionStore>;
  /**
   * Opens the store on a backend that does not answer: at the address that is given, nothing listens, or something that
   * accepts and then is silent. Give the client short timeouts. `null`: the store is all in this process, and there is
   * nothing that could fail to answer.
   */
  readonly unreachable: ((address: Address) => SessionStore | Promise<SessionStore>) | null;
}

/** A TCP address on the loopback interface. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * Declares the whole suite with the runner's functions: each promise of the contract is a chapter (`describe`), each
 * sentence of it a test. Every id and user is fresh, so that several runs can share one backend.
 *
 * Races and histories follow a seed, which every failure names; the environment variable `TENURE_SEED` replays it.
 *
 * @throws TypeError when `TENURE_SEED` is not a whole number
 */
export function testStore({ describe, test }: Runner, underTest: StoreUnderTest): void {
  const seed = chooseSeed();
  const backend = openBackend(underTest);
  for (const { title, sentences } of underTest.unreachable === null ? CHAPTERS : [...CHAPTERS, outage]) {
    const name = underTest.name === undefined ? title : `${underTest.name}: ${title}`;
    describe(name, { concurrent: true, concurrency: 8 }, () => {
      for (const [sentence, body] of Object.entries(sentences)) {
        test(sentence, { timeout: TIMEOUT }, () => perform(sentence, body, backend, seed));
      }
    });
  }
}

/** Milliseconds. A slow machine makes the suite longer, never red: only a call that is never answered takes this long. */
const TIMEOUT = 600_000;

const CHAPTERS: readonly Chapter[] = [
  records,
  expiry,
  lifetime,
  revocation,
  revokeAll,
  userIndex,
  creation,
  updates,
  durability,
  absence,
  hostile,
  cost,
  scanning,
  races,
  histories,
];
