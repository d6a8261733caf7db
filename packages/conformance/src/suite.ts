import { absence } from "./chapters/absence.ts";
import { cost } from "./chapters/cost.ts";
import { creation } from "./chapters/creation.ts";
import { durability } from "./chapters/durability.ts";
import { expiry } from "./chapters/expiry.ts";
import { histories } from "./chapters/histories.ts";
import { hostile } from "./chapters/hostile.ts";
import { lifetime } from "./chapters/lifetime.ts";
import { loginFence } from "./chapters/login-fence.ts";
import { mixedUp } from "./chapters/mixed-up.ts";
import { outage } from "./chapters/outage.ts";
import { races } from "./chapters/races.ts";
import { records } from "./chapters/records.ts";
import { revocation } from "./chapters/revocation.ts";
import { rightRecord } from "./chapters/right-record.ts";
import { revokeAll } from "./chapters/revoke-all.ts";
import { scanning } from "./chapters/scanning.ts";
import { updates } from "./chapters/updates.ts";
import { userIndex } from "./chapters/user-index.ts";
import { openBackend } from "./backend.ts";
import { type Chapter, perform } from "./chapter.ts";
import { chooseSeed } from "./seed.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** The test runner's functions, as vitest and `node:test` export them. */
export interface Runner {
  readonly describe: (name: string, options: SuiteOptions, body: () => void) => unknown;
  readonly test: (name: string, options: TestOptions, body: () => Promise<void>) => unknown;
}

/**
 * The options that the suite passes to `describe`: `concurrent` for vitest, `concurrency` for `node:test`.
 */
export interface SuiteOptions {
  readonly concurrent: boolean;
  readonly concurrency: number;
}

/** The options that the suite passes to `test`. Only a store that hangs reaches the timeout, milliseconds. */
export interface TestOptions {
  readonly timeout: number;
}

/**
 * Declares the suite with the runner's functions. Each promise of the contract is a chapter (`describe`), and
 * each of its sentences is a test. Each test uses new ids and users, so that several runs can share one
 * backend.
 *
 * Races and histories follow a seed, which every failure names. The environment variable `TENURE_SEED`
 * replays it.
 *
 * @throws TypeError if `TENURE_SEED` is not a whole number
 */
export function testStore({ describe, test }: Runner, underTest: StoreUnderTest): void {
  const seed = chooseSeed();
  const backend = openBackend(underTest);
  for (const { title, sentences } of chaptersFor(underTest)) {
    const name = underTest.name === undefined ? title : `${underTest.name}: ${title}`;
    describe(name, { concurrent: true, concurrency: 8 }, () => {
      for (const [sentence, body] of Object.entries(sentences)) {
        test(sentence, { timeout: TIMEOUT }, () => perform(sentence, body, backend, seed));
      }
    });
  }
}

/** Milliseconds. A slow machine only slows the suite. Only a call that never settles takes this long. */
const TIMEOUT = 600_000;

function chaptersFor({ unreachable, mixedUp: mix }: StoreUnderTest): Chapter[] {
  return [...CHAPTERS, ...(unreachable === null ? [] : [outage]), ...(mix === null ? [] : [mixedUp])];
}

const CHAPTERS: readonly Chapter[] = [
  records,
  expiry,
  lifetime,
  revocation,
  revokeAll,
  loginFence,
  userIndex,
  creation,
  updates,
  durability,
  absence,
  hostile,
  cost,
  rightRecord,
  scanning,
  races,
  histories,
];
