import { fork } from "node:child_process";
import { once } from "node:events";
import { faultyProxy, server } from "@tenure/servers";
import { afterAll, expect, test, vi } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, databaseOf, LIBRARIES } from "./clients.ts";
import { disagreements, type OperationName, OPERATIONS, setStage } from "./operations.ts";
import { freshId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
const url = databaseOf(redis.url, 6);
const client = clients.redis(url);
afterAll(() => clients[Symbol.dispose]());

/** More commands than any operation sends, background commands included. */
const MOST_COMMANDS = 8;

redis.describe.each(LIBRARIES)("a process on $name that is killed after any command", ({ name }) => {
  test.each(Object.keys(OPERATIONS) as OperationName[])(
    "of %s leaves an index that agrees with the sessions",
    { timeout: 120_000 },
    async (operation) => {
      await using proxies = new AsyncDisposableStack();
      // One process runs the operation many times, each with its own connection and prefix, stopped at a
      // different command.
      const places = await Promise.all(
        Array.from({ length: MOST_COMMANDS }, async () => {
          const prefix = `${freshId()}:`;
          const store = redisStore(client, { prefix });
          const stage = await setStage(store);
          const proxy = proxies.use(await faultyProxy(url));
          return { prefix, store, stage, proxy };
        }),
      );
      const given = places.map(({ proxy, prefix, stage }) => ({ url: proxy.url, prefix, stage }));
      const child = fork(
        new URL("fixtures/operate.ts", import.meta.url),
        [name, operation, JSON.stringify(given)],
        { execArgv: ["--conditions=@tenure/source"] },
      );
      await once(child, "message");
      // The server runs the command, but the process never gets the reply.
      const plans = places.map(({ proxy }, index) =>
        proxy.plan({ on: "reply", nth: index + 1, by: "silence" }),
      );
      const done = new Set<unknown>();
      child.on("message", (place) => done.add(place));
      child.send("go");
      const settled = () => plans.every(({ struck }, place) => struck || done.has(place));
      await vi.waitUntil(settled, { interval: 2, timeout: 60_000 });
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      expect(plans[0]!.struck).toBe(true);
      expect(plans.at(-1)!.struck, "MOST_COMMANDS is too small").toBe(false);
      for (const { store, stage } of places) expect(await disagreements(store, stage)).toEqual([]);
    },
  );
});
