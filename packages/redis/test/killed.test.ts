import { fork } from "node:child_process";
import { once } from "node:events";
import { faultyProxy, server } from "@tenure/servers";
import { afterAll, expect, test, vi } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { disagreements, type OperationName, OPERATIONS, setStage } from "./operations.ts";
import { freshId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
const client = clients.redis(redis.url);
afterAll(() => clients[Symbol.dispose]());

redis.describe.each(LIBRARIES)("a process on $name that is killed after any command", ({ name }) => {
  test.each(Object.keys(OPERATIONS) as OperationName[])(
    "of %s leaves an index that agrees with the sessions",
    { timeout: 120_000 },
    async (operation) => {
      for (let nth = 1, struck = true; struck; nth += 1) {
        const prefix = `${freshId()}:`;
        const store = redisStore(client, { prefix });
        const stage = await setStage(store);
        await using proxy = await faultyProxy(redis.url);
        const child = fork(
          new URL("fixtures/operate.ts", import.meta.url),
          [name, proxy.url, prefix, operation, JSON.stringify(stage)],
          { execArgv: ["--conditions=@tenure/source"] },
        );
        await once(child, "message");
        // The server runs it, and the process never gets the reply.
        const plan = proxy.plan({ on: "reply", nth, by: "silence" });
        child.send("go");
        const done = once(child, "message").then(
          () => "done",
          () => "killed",
        );
        await Promise.race([done, vi.waitUntil(() => plan.struck, { interval: 2, timeout: 20_000 })]);
        ({ struck } = plan);
        const exit = once(child, "exit");
        child.kill("SIGKILL");
        await exit;
        if (!struck) await expect(done).resolves.toBe("done");
        expect(await disagreements(store, stage)).toEqual([]);
      }
    },
  );
});
