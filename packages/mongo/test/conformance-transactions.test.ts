import { randomUUID } from "node:crypto";
import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import { describe, expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { connect } from "./clients.ts";
import { mixedUpCollection } from "./mixed-up.ts";

const mongo = await server("mongo-transactions");
const main = await server("mongo");

/**
 * SecantusDB 0.7, which may stand in for a replica set, makes about 200 writes a second. Each of these makes
 * hundreds of writes, and would take a minute or more. `conformance.test.ts` runs them on the main server.
 */
const TOO_SLOW: ReadonlySet<string> = new Set([
  "uses that race with the end do not move it (ASVS 7.3.2)",
  "a session once seen revoked stays dead, even if writes race with its revoke (ASVS 7.4.1)",
  "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
  "an id that is created and revoked concurrently ends up dead",
  "each session is counted by the one call that ended it",
  "of concurrent revokes of one session, one returns true",
  "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
  "a session created or bound during revokeUser is dead, or readable and listed (ASVS 7.4.2)",
  "a session created or bound during a revokeUser is within reach of the next one",
  "a session that changes its user during revokeUser is ended as the first user's or lives as the second's",
  "two sessions that each end all others leave at most one (ASVS 7.4.3)",
  "listUser and revokeUser miss no session while others of the user end (ASVS 7.4.2)",
  "a user's sessions are found behind hundreds of expired ones (ASVS 7.4.2)",
  "after concurrent changes of its user, a session is in the list of its user and in no other",
  "of concurrent creates of one id, exactly one succeeds and is stored",
  "versions beyond 256 are exact, and still conflict",
  "of concurrent updates with one version, exactly one succeeds and the others conflict",
  "concurrent updates without a version all succeed, one after the other",
  "a concurrent touch causes no conflict",
  "concurrent updates of different fields are all kept",
  "counting with versions loses no count",
  "an update is read whole or not at all",
  "all acknowledged writes are kept, in their order",
  "all 1,001 sessions of a user are listed and ended (ASVS 7.4.2)",
  "all 12,000 sessions of a user are listed and ended (ASVS 7.4.2)",
  "one of a user's many sessions is written, read and ended like any other",
  "each of a thousand users has a separate list",
  "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)",
  "scan returns every session that is alive throughout, whatever is written meanwhile",
  "a scan misses no session while its consumer ends others (ASVS 7.4.5)",
  "a login that overlaps revokeUser and began before it is refused or ended (ASVS 7.4.2)",
  "the session in `except` lives through revokeUser, whatever is written meanwhile",
  "concurrent calls of one session have an order that explains every result",
  "every result of any sequence of calls and waits is one that the contract allows",
]);

// If one real replica set serves both, conformance.test.ts already runs the suite on it.
const describeHere = mongo.url === main.url ? describe.skip : mongo.describe;
const seen = new Set<string>();

/**
 * The chapters are distributed over this many new collections, because SecantusDB reads the entire collection
 * for each command.
 */
const COLLECTIONS = 6;

for (let turn = 0; turn < COLLECTIONS; turn += 1) {
  const name = `sessions_${randomUUID()}`;
  const collection = () => connect(mongo.url).db("tenure_test").collection(name);
  let chapter = 0;
  testStore(
    {
      describe: (title, options, body) => {
        // One test at a time: SecantusDB gains nothing from concurrent commands, and tests that expect an expiry
        // would be repeated until it is fast enough.
        if (chapter++ % COLLECTIONS === turn) describeHere(title, { ...options, concurrent: false }, body);
      },
      test: (sentence, options, body) => {
        seen.add(sentence);
        return (TOO_SLOW.has(sentence) ? test.skip : test)(sentence, options, body);
      },
    },
    {
      open: async () => {
        await ensureIndexes(collection());
        return mongoStore(collection());
      },
      // Covered by the run on the main server.
      unreachable: null,
      mixedUp: (mixUp) => mongoStore(mixedUpCollection(collection(), mixUp)),
    },
  );
}

test("every skipped sentence is in the suite", () => {
  expect([...TOO_SLOW].filter((sentence) => !seen.has(sentence))).toEqual([]);
});
