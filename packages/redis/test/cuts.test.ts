import { StoreError } from "@tenure/core";
import { type Fault, faultyProxy, server } from "@tenure/servers";
import { afterAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, databaseOf, LIBRARIES } from "./clients.ts";
import { disagreements, type OperationName, OPERATIONS, setStage } from "./operations.ts";
import { freshId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
const url = databaseOf(redis.url, 7);
const client = clients.redis(url);
afterAll(() => clients[Symbol.dispose]());

/** What is lost: the command, which then does not run, or its reply. */
const cuts: readonly [string, Fault["on"]][] = [
  ["before it reaches the server", "command"],
  ["after it ran", "reply"],
];
const clientsAfter = LIBRARIES.flatMap((library) => [
  { who: `${library.name} that gives up`, library, retryAfter: null },
  { who: `${library.name} that comes back`, library, retryAfter: 20 },
]);

redis.describe.each(Object.keys(OPERATIONS) as OperationName[])(
  "%s, cut at every command in turn",
  { concurrent: true },
  (operation) => {
    for (const [where, on] of cuts) {
      for (const { who, library, retryAfter } of clientsAfter) {
        test(`${where}, ${who}: index and sessions agree`, { timeout: 120_000 }, async () => {
          for (let nth = 1, struck = true; struck; nth += 1) {
            const options = { prefix: `${freshId()}:` };
            const direct = redisStore(client, options);
            const stage = await setStage(direct);
            await using proxy = await faultyProxy(url);
            using cut = new Clients();
            const store = redisStore(library.open(cut, proxy.url, retryAfter), options);
            await store.now();
            const plan = proxy.plan({ on, nth });
            const outcome = await OPERATIONS[operation](store, stage).then(
              (answer) => ({ answer }),
              (error: unknown) => ({ error }),
            );
            ({ struck } = plan);
            if ("error" in outcome) expect(outcome.error).toBeInstanceOf(StoreError);
            if (library.resends && retryAfter !== null) expect(outcome).toHaveProperty("answer");
            expect(await disagreements(direct, stage)).toEqual([]);
            if (!struck) expect(nth).toBeGreaterThan(1);
          }
        });
      }
    }
  },
);
