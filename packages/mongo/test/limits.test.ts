import { setTimeout as sleep } from "node:timers/promises";
import { MongoNetworkError } from "mongodb";
import { expect, test } from "vitest";
import { commandsOn } from "../src/commands.ts";
import { ownHandle } from "../src/handle.ts";
import { connect } from "./clients.ts";

/** Milliseconds: the store's limit, which is twice the sum of the client's limits below. */
const LIMIT = 1200;

test("a command and its retry after a lost reply share one time limit", async () => {
  const limits = { socketTimeoutMS: 200, connectTimeoutMS: 200, serverSelectionTimeoutMS: 200 };
  const client = connect("mongodb://127.0.0.1:1/", limits);
  const handle = ownHandle(client.db("tenure_test").collection("sessions"), "local");
  let sent = 0;
  handle.sessions.findOneAndUpdate = async (): Promise<never> => {
    sent += 1;
    if (sent > 1) return new Promise(() => undefined);
    await sleep(LIMIT - 100);
    throw new MongoNetworkError("the connection broke");
  };
  const began = performance.now();
  await expect(commandsOn(handle, 60_000).revoke("one")).rejects.toThrow(`limits of ${LIMIT} ms`);
  expect(performance.now() - began).toBeLessThan(2 * LIMIT - 100);
  expect(sent).toBe(2);
});
