import { afterAll, describe, expect, test } from "vitest";
import { expressSession, oldExpressSession } from "./express.ts";
import { fastifySessions, oldFastifySessions } from "./fastify.ts";
import type { Framework } from "./framework.ts";
import { bridgeOfGuide } from "./guide.ts";
import { koaSession, oldKoaSession } from "./koa.ts";
import { loginScenarios } from "./login-scenarios.ts";
import { scenarios as otherScenarios } from "./scenarios.ts";
import { onStage } from "./stage.ts";
import { type Backend, backends, type OpenStore } from "./stores.ts";
import { table } from "./table.ts";

const scenarios = { ...otherScenarios, ...loginScenarios };
const newest = [expressSession, fastifySessions, koaSession, bridgeOfGuide];
const all = [...newest, oldExpressSession, ...oldFastifySessions, oldKoaSession];

/**
 * Old versions of a framework make different calls, but the server's part is the same. So they run on local
 * stores only.
 */
function frameworksOn({ isLocal }: Backend): readonly Framework[] {
  return isLocal ? all : newest;
}

const columns = backends.flatMap((backend) =>
  frameworksOn(backend).map(({ name }) => `${name} on ${backend.name}`),
);
const outcomes = table(Object.keys(scenarios), columns);

afterAll(() => {
  process.stdout.write(`\n${outcomes.toString()}\n\n`);
});

for (const backend of backends) {
  // Frameworks run concurrently, because the longest scenarios wait for timeouts.
  backend.describe(`on ${backend.name}`, { concurrent: true }, () => {
    let open: Promise<OpenStore> | undefined;
    const opened = (): Promise<OpenStore> => (open ??= backend.open());
    afterAll(async () => (await open)?.close());

    for (const framework of frameworksOn(backend)) {
      describe(`${framework.name} over HTTP`, () => {
        for (const [sentence, play] of Object.entries(scenarios)) {
          // On a slow machine, scenarios may have to wait for deadlines of half a minute.
          test(`keeps: ${sentence}`, { timeout: 300_000 }, async () => {
            const column = `${framework.name} on ${backend.name}`;
            outcomes.note(sentence, column, "BROKEN");
            await expect(onStage(framework, await opened(), play)).resolves.toBeUndefined();
            outcomes.note(sentence, column, "kept");
          });
        }
      });
    }
  });
}
