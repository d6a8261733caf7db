import { randomUUID } from "node:crypto";
import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import { describe, expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { connect } from "./clients.ts";

const mongo = await server("mongo-transactions");
const main = await server("mongo");

/**
 * The stand-in for a replica set (SecantusDB 0.7) makes some 200 writes a second, and each of these races or histories makes
 * many hundreds, again and again: minutes each. They run in `conformance.test.ts`, on the main server.
 */
const TOO_SLOW: ReadonlySet<string> = new Set([
  "a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)",
  "uses that race with the end don't move it (ASVS 7.3.2)",
  "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
  "an id that is created and revoked at once ends dead",
  "of any number of concurrent revokes of one session, one says true",
  "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
  "a session created or bound during revokeUser is dead, or wholly there (ASVS 7.4.2)",
  "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
  "after rebindings that raced, the session is in the list of its user and in no other",
  "of any number of concurrent creates of one id, one says true and is what is stored",
  "of concurrent updates with one version, one is made and the others conflict",
  "concurrent updates of different fields all stay",
  "counting with versions loses no count",
  "concurrent updates without a version are all made, one after the other",
  "an update is seen whole or not at all",
  "acknowledged writes in a row are all there, in their order",
  "one of a user's many sessions is written, read and ended as any other",
  "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
  "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
  "concurrent calls of one session have an order that explains every answer",
  "any sequence of calls and waits is answered as the contract says",
]);

// Where one real replica set serves both, the whole suite runs on it already.
const there = mongo.url === main.url ? describe.skip : mongo.describe;
const met = new Set<string>();

/** New in each run: what was there would make every command slower, since this server reads all of it. */
const SESSIONS = `sessions_${randomUUID()}`;

testStore(
  {
    describe: there,
    test: (sentence, options, body) => {
      met.add(sentence);
      return (TOO_SLOW.has(sentence) ? test.skip : test)(sentence, options, body);
    },
  },
  {
    open: async () => {
      const collection = connect(mongo.url).db("tenure_test").collection(SESSIONS);
      await ensureIndexes(collection);
      return mongoStore(collection);
    },
    // Nothing of it is the server's.
    unreachable: null,
  },
);

test("every sentence that is left out is one of the suite", () => {
  expect([...TOO_SLOW].filter((sentence) => !met.has(sentence))).toEqual([]);
});
