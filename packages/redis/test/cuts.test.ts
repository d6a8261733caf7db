import { StoreError } from "@tenure/core";
import { type Fault, faultyProxy, server } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { disagreements, type OperationName, OPERATIONS, setStage } from "./operations.ts";
import { freshId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
const client = clients.redis(redis.url);
afterAll(() => clients[Symbol.dispose]());

/** What is lost: the command, which then never ran, or its reply. */
const cuts: readonly [string, Fault["on"]][] = [
  ["before it reaches the server", "command"],
  ["after it ran", "reply"],
];
const clientsAfter = [
  ["a client that gives up", () => null],
  ["a client that comes back", () => 20],
] as const;

redis.describe.each(Object.keys(OPERATIONS) as OperationName[])(
  "%s, cut at every command in turn",
  (operation) => {
    for (const [where, on] of cuts) {
      for (const [who, retryStrategy] of clientsAfter) {
        test(`${where}, ${who}: index and sessions agree`, { timeout: 120_000 }, async () => {
          for (let nth = 1, struck = true; struck; nth += 1) {
            const options = { prefix: `${freshId()}:` };
            const direct = redisStore(client, options);
            const stage = await setStage(direct);
            await using proxy = await faultyProxy(redis.url);
            using cut = new Clients();
            const store = redisStore(cut.add(new Redis(proxy.url, { retryStrategy })), options);
            await store.now();
            const plan = proxy.plan({ on, nth });
            const outcome = await OPERATIONS[operation](store, stage).then(
              (answer) => ({ answer }),
              (error: unknown) => ({ error }),
            );
            ({ struck } = plan);
            if ("error" in outcome) expect(outcome.error).toBeInstanceOf(StoreError);
            if (who === "a client that comes back") expect(outcome).toHaveProperty("answer");
            expect(await disagreements(direct, stage)).toEqual([]);
            if (!struck) expect(nth).toBeGreaterThan(1);
          }
        });
      }
    }
  },
);
