import { type HeardWarnings, hearWarnings } from "@tenure/watched-store/warnings";
import { memoryStore } from "@tenure/core";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expressSession, expressSessionAlone, oldExpressSession } from "./express.ts";
import { fastifySessions, fastifySessionsAlone, oldFastifySessions } from "./fastify.ts";
import type { Framework } from "./framework.ts";
import { bridgeOfGuide } from "./guide.ts";
import { koaSession, koaSessionAlone, oldKoaSession } from "./koa.ts";
import { plans } from "./random-requests-plan.ts";
import { play } from "./random-requests-play.ts";

const frameworks = [expressSession, fastifySessions, koaSession, bridgeOfGuide];
const old = [oldExpressSession, ...oldFastifySessions, oldKoaSession];
const alone = [expressSessionAlone, fastifySessionsAlone, koaSessionAlone];

// TENURE_ROUNDS: how many plans each framework carries out. TENURE_SEED: the seed that a failure printed.
const rounds = Number(process.env["TENURE_ROUNDS"] ?? 30);
const seed = Number(process.env["TENURE_SEED"] ?? Math.trunc(Math.random() * 2 ** 31));

describe("random requests", { concurrent: true }, () => {
  let warnings: HeardWarnings;
  beforeAll(() => {
    warnings = hearWarnings();
  });
  afterAll(() => warnings[Symbol.dispose]());

  test.each([...frameworks, ...old])(
    "$name: keeps logouts, tokens, data and changes, whatever requests do at the same time",
    { timeout: 60 * 60_000 },
    async (framework) => {
      await expect(carriedOut(framework, rounds)).resolves.toBeUndefined();
    },
  );

  test.each(alone)("$name: breaks them", { timeout: 60 * 60_000 }, async (framework) => {
    await expect(carriedOut(framework, 1000)).rejects.toThrow(/Property failed/u);
  });
});

async function carriedOut(framework: Framework, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(plans(framework), (plan) => play(framework, memoryStore(), plan));
  await fc.assert(property, { numRuns, seed });
}
