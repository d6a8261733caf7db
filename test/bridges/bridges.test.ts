import { afterAll, describe, expect, test } from "vitest";
import { type Database, databases, memory, type OpenDatabase } from "./databases.ts";
import { expressSession, oldExpressSession } from "./express.ts";
import { fastifySession, oldFastifySessions } from "./fastify.ts";
import type { Framework } from "./framework.ts";
import { guideBridge } from "./guide.ts";
import { koaSession, oldKoaSession } from "./koa.ts";
import { loginScenarios } from "./login-scenarios.ts";
import { scenarios as frameworkScenarios } from "./scenarios.ts";
import { runScenario } from "./run-scenario.ts";
import { table } from "./table.ts";
import { withoutTombstones } from "./without-tombstones.ts";

const scenarios = { ...frameworkScenarios, ...loginScenarios };
const newest = [expressSession, fastifySession, koaSession, guideBridge];
const all = [...newest, oldExpressSession, ...oldFastifySessions, oldKoaSession];

/** On this store, a dead session stays dead only because the bridge knows what its request loaded. */
const memoryWithoutTombstones: Database = {
  ...memory,
  name: "memory, no tombstones",
  async open() {
    const opened = await memory.open();
    return { ...opened, store: withoutTombstones(opened.store) };
  },
};
const allDatabases = [...databases, memoryWithoutTombstones];

/**
 * Old versions of a framework call the bridge differently, which makes no difference to a server. So they run
 * on local stores only.
 */
function frameworksOn({ isLocal }: Database): readonly Framework[] {
  return isLocal ? all : newest;
}

const columns = allDatabases.flatMap((database) =>
  frameworksOn(database).map(({ name }) => `${name} on ${database.name}`),
);
const outcomes = table(Object.keys(scenarios), columns);

afterAll(() => {
  process.stdout.write(`\n${outcomes.toString()}\n\n`);
});

for (const database of allDatabases) {
  // Scenarios run concurrently, because the longest ones wait for timeouts.
  database.describe(`on ${database.name}`, { concurrent: true }, () => {
    let opened: Promise<OpenDatabase> | undefined;
    const open = (): Promise<OpenDatabase> => (opened ??= database.open());
    afterAll(async () => (await opened)?.close());

    for (const framework of frameworksOn(database)) {
      describe(`${framework.name} over HTTP`, () => {
        // On a slow machine, scenarios may have to wait for deadlines of half a minute.
        test.each(Object.entries(scenarios))("%s", { timeout: 300_000 }, async (title, scenario) => {
          const column = `${framework.name} on ${database.name}`;
          outcomes.note(title, column, "FAILED");
          await expect(runScenario(framework, (await open()).store, scenario)).resolves.toBeUndefined();
          outcomes.note(title, column, "passed");
        });
      });
    }
  });
}
