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
import type { StoreUnderTest } from "./store-under-test.ts";

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
