import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { canStart, server, startMongo } from "@tenure/servers";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, errorOf, newCollection, supportsCommand, skipLoudly } from "./clients.ts";
import { createSession } from "./sessions.ts";

const mongo = await server("mongo");
const { describe } = await canStart("mongo");

describe("A primary that steps down during writes and is elected again", () => {
  test("keeps every acknowledged write, and every call that failed rejected with a StoreError", async (context) => {
    if (!(await supportsCommand(mongo.url, { replSetGetStatus: 1 })))
      skipLoudly(context, `${mongo.how} has no elections`);
    await using own = await startMongo();
    const client = connect(own.url);
    const store = mongoStore(await newCollection(client));
    const writers = Array.from({ length: 16 }, () => writer(store));
    await Promise.all(writers.map((each) => each.more(3)));
    const stepDown = { replSetStepDown: 1, secondaryCatchUpPeriodSecs: 0, force: true };
    const steppedDown = await errorOf(client.db("admin").command(stepDown));
    await Promise.all(writers.map((each) => each.more(3)));
    const failed = await Promise.all(writers.map((each) => each.stop()));
    expect(steppedDown).toBeUndefined();
    for (const error of failed.flat()) expect(error).toBeInstanceOf(StoreError);
    for (const { acknowledged } of writers) {
      for (const [id, data] of acknowledged) expect((await store.read(id))?.data ?? null).toBe(data);
    }
  });
});

/** Creates, updates and revokes sessions until stopped, and records acknowledged sessions and failures. */
function writer(store: SessionStore) {
  /** The data of each session, or null if it was revoked. */
  const acknowledged = new Map<string, string | null>();
  const failed: unknown[] = [];
  const stopping = new AbortController();
  const write = async () => {
    const id = await createSession(store);
    expect(await store.update(id, { data: id })).toBe("updated");
    const dead = acknowledged.size % 2 === 0 && (await store.revoke(id));
    acknowledged.set(id, dead ? null : id);
  };
  const writing = (async () => {
    while (!stopping.signal.aborted) {
      const error = await errorOf(write());
      if (error) failed.push(error);
    }
  })();
  return {
    acknowledged,
    /** Resolves once this many more sessions are acknowledged. */
    more: async (count: number) => {
      const enough = acknowledged.size + count;
      while (acknowledged.size < enough) await sleep(20);
    },
    stop: async () => {
      stopping.abort();
      await writing;
      return failed;
    },
  };
}
