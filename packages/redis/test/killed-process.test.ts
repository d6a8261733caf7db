import { fork } from "node:child_process";
import { once } from "node:events";
import { faultyProxy, server } from "@tenure/servers";
import { afterAll, expect, test, vi } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, databaseOf, LIBRARIES } from "./clients.ts";
import { inconsistencies, OPERATIONS, createFixture } from "./operations.ts";
import { newId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
const url = databaseOf(redis.url, 6);
const client = clients.redis(url);
afterAll(() => clients[Symbol.dispose]());

/** More than the number of commands that any operation sends, background commands included. */
const MAX_COMMANDS = 8;

redis.describe.each(LIBRARIES)(
  "a process that is killed after any of its commands, with $name,",
  ({ name }) => {
    test.each(Object.keys(OPERATIONS))("leaves index and sessions consistent: %s", async (operation) => {
      await using proxies = new AsyncDisposableStack();
      // One process runs the operation several times at once. Each run has its own connection and prefix, and
      // stops after a different command.
      const runs = await Promise.all(
        Array.from({ length: MAX_COMMANDS }, async () => {
          const prefix = `${newId()}:`;
          const store = redisStore(client, { prefix });
          const fixture = await createFixture(store);
          const proxy = proxies.use(await faultyProxy(url));
          return { prefix, store, fixture, proxy };
        }),
      );
      const given = runs.map(({ proxy, prefix, fixture }) => ({ url: proxy.url, prefix, fixture }));
      const child = fork(
        new URL("fixtures/operate.ts", import.meta.url),
        [name, operation, JSON.stringify(given)],
        { execArgv: ["--conditions=@tenure/source"] },
      );
      await once(child, "message");
      // The server runs the command, but the process never gets the reply.
      const plans = runs.map(({ proxy }, run) => proxy.plan({ on: "reply", nth: run + 1, by: "silence" }));
      const done = new Set<unknown>();
      child.on("message", (run) => done.add(run));
      child.send("go");
      const settled = () => plans.every(({ struck }, run) => struck || done.has(run));
      await vi.waitUntil(settled, { interval: 2, timeout: 60_000 });
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      expect(plans[0]!.struck).toBe(true);
      expect(plans.at(-1)!.struck, "MAX_COMMANDS is too small").toBe(false);
      for (const { store, fixture } of runs) expect(await inconsistencies(store, fixture)).toEqual([]);
    });
  },
);
