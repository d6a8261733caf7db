import { StoreError } from "@tenure/core";
import { type Fault, faultyProxy, server } from "@tenure/servers";
import { afterAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, databaseOf, LIBRARIES } from "./clients.ts";
import { inconsistencies, OPERATIONS, createFixture } from "./operations.ts";
import { newId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
const url = databaseOf(redis.url, 7);
const client = clients.redis(url);
afterAll(() => clients[Symbol.dispose]());

/** Whether the cut loses the command, which then does not run, or its reply. */
const cuts: readonly [string, Fault["on"]][] = [
  ["before a command reaches the server", "command"],
  ["after a command ran", "reply"],
];
const variants = LIBRARIES.flatMap((library) => [
  { name: `${library.name} that does not reconnect`, library, retryAfter: null },
  { name: `${library.name} that reconnects`, library, retryAfter: 20 },
]);

redis.describe.each(Object.keys(OPERATIONS))("during %s", { concurrent: true }, (operation) => {
  for (const [where, on] of cuts) {
    for (const { name, library, retryAfter } of variants) {
      test(`a connection cut ${where} leaves index and sessions consistent: ${name}`, async () => {
        // Cuts at the first command, then at the second, until there is no such command.
        for (let nth = 1, struck = true; struck; nth += 1) {
          const options = { prefix: `${newId()}:` };
          const direct = redisStore(client, options);
          const fixture = await createFixture(direct);
          await using proxy = await faultyProxy(url);
          using cutClients = new Clients();
          const store = redisStore(library.open(cutClients, proxy.url, retryAfter), options);
          await store.now();
          const plan = proxy.plan({ on, nth });
          const outcome = await OPERATIONS[operation]!(store, fixture).then(
            (result) => ({ result }),
            (error: unknown) => ({ error }),
          );
          ({ struck } = plan);
          if ("error" in outcome) expect(outcome.error).toBeInstanceOf(StoreError);
          if (library.resends && retryAfter !== null) expect(outcome).toHaveProperty("result");
          expect(await inconsistencies(direct, fixture)).toEqual([]);
          if (!struck) expect(nth).toBeGreaterThan(1);
        }
      });
    }
  }
});
