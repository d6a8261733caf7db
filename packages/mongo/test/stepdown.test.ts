import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { canStart, server, startMongo } from "@tenure/servers";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, errorOf, freshCollection, knows, skipLoudly } from "./clients.ts";

const mongo = await server("mongo");
const { describe } = await canStart("mongo");

describe("A primary that steps down among writes, and is elected again", () => {
  test("has every acknowledged write, and every call is answered or a StoreError", async (context) => {
    if (!(await knows(mongo.url, { replSetGetStatus: 1 })))
      skipLoudly(context, `${mongo.how} has no elections`);
    await using own = await startMongo();
    const client = connect(own.url);
    const store = mongoStore(await freshCollection(client));
    const writers = Array.from({ length: 16 }, () => writer(store));
    await Promise.all(writers.map((one) => one.more(3)));
    const stepDown = { replSetStepDown: 1, secondaryCatchUpPeriodSecs: 0, force: true };
    const steppedDown = await errorOf(client.db("admin").command(stepDown));
    await Promise.all(writers.map((one) => one.more(3)));
    const failed = await Promise.all(writers.map((one) => one.stop()));
    expect(steppedDown).toBeUndefined();
    for (const error of failed.flat()) expect(error).toBeInstanceOf(StoreError);
    for (const { told } of writers) {
      for (const [id, data] of told) expect((await store.read(id))?.data ?? null).toBe(data);
    }
  });
});

/** Creates, changes and revokes sessions until stopped, and records acknowledged sessions and failures. */
function writer(store: SessionStore) {
  const told = new Map<string, string | null>();
  const failed: unknown[] = [];
  const stopping = new AbortController();
  const write = async (id: string) => {
    expect(await store.create({ id, userId: null, data: "", idle: HOUR, lifetime: HOUR })).toBe("created");
    expect(await store.update(id, { data: id })).toBe("updated");
    const dead = told.size % 2 === 0 && (await store.revoke(id));
    told.set(id, dead ? null : id);
  };
  const writing = (async () => {
    while (!stopping.signal.aborted) {
      const error = await errorOf(write(randomUUID()));
      if (error) failed.push(error);
    }
  })();
  return {
    told,
    /** Resolves once this many more sessions are acknowledged. */
    more: async (count: number) => {
      const enough = told.size + count;
      while (told.size < enough) await sleep(20);
    },
    stop: async () => {
      stopping.abort();
      await writing;
      return failed;
    },
  };
}

const HOUR = 60 * 60 * 1000;
