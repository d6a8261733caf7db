import { memoryStore } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { expressSessionWithoutTenure } from "./express.ts";
import { fastifySessionWithoutTenure } from "./fastify.ts";
import { koaSessionWithoutTenure } from "./koa.ts";
import { runScenario } from "./run-scenario.ts";
import { scenarios } from "./scenarios.ts";

/** Scenarios that fail on the frameworks' own stores. They observe only what a browser can observe. */
const failing = [
  "race: a slow save after a logout does not bring the session back, and its response is 200",
  "race: a slow save after a rotation does not make the old token work again",
  "the lifetime ends a session that is in use, even during a request",
  "merge: concurrent requests that change different keys all keep their changes",
  "merge: a second save in one request deletes no key that another request has set",
];

describe.each([expressSessionWithoutTenure, fastifySessionWithoutTenure, koaSessionWithoutTenure])(
  "$name",
  (framework) => {
    test.each(failing)("fails the scenario: %s", async (title) => {
      await expect(runScenario(framework, memoryStore(), scenarios[title]!)).rejects.toThrow(/^expected/);
    });
  },
);
