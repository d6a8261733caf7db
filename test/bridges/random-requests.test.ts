import { type HeardWarnings, hearWarnings } from "@tenure/store-wrappers/warnings";
import { memoryStore } from "@tenure/core";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expressSession, expressSessionWithoutTenure, oldExpressSession } from "./express.ts";
import { fastifySession, fastifySessionWithoutTenure, oldFastifySessions } from "./fastify.ts";
import type { Framework } from "./framework.ts";
import { guideBridge } from "./guide.ts";
import { koaSession, koaSessionWithoutTenure, oldKoaSession } from "./koa.ts";
import { plans } from "./random-requests-plan.ts";
import { runPlan } from "./random-requests-run.ts";

const frameworks = [expressSession, fastifySession, koaSession, guideBridge];
const oldVersions = [oldExpressSession, ...oldFastifySessions, oldKoaSession];
const withoutTenure = [expressSessionWithoutTenure, fastifySessionWithoutTenure, koaSessionWithoutTenure];

// TENURE_ROUNDS: the number of plans per framework. TENURE_SEED: the seed that a failed run printed.
const rounds = Number(process.env["TENURE_ROUNDS"] ?? 30);
const seed = Number(process.env["TENURE_SEED"] ?? Math.trunc(Math.random() * 2 ** 31));

describe("random requests", { concurrent: true }, () => {
  let warnings: HeardWarnings;
  beforeAll(() => {
    warnings = hearWarnings();
  });
  afterAll(() => warnings[Symbol.dispose]());

  test.each([...frameworks, ...oldVersions])(
    "$name: concurrent random requests break no rule about logouts, tokens, data and changes",
    { timeout: 60 * 60_000 },
    async (framework) => {
      await expect(runPlans(framework, rounds)).resolves.toBeUndefined();
    },
  );

  test.each(withoutTenure)(
    "$name: concurrent random requests break a rule",
    { timeout: 60 * 60_000 },
    async (framework) => {
      await expect(runPlans(framework, 1000)).rejects.toThrow(/Property failed/u);
    },
  );
});

async function runPlans(framework: Framework, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(plans(framework), (plan) => runPlan(framework, memoryStore(), plan));
  await fc.assert(property, { numRuns, seed });
}
