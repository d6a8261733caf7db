import { memoryStore } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { expressSessionAlone } from "./express.ts";
import { fastifySessionsAlone } from "./fastify.ts";
import { koaSessionAlone } from "./koa.ts";
import { scenarios } from "./scenarios.ts";
import { onStage } from "./stage.ts";

/** Scenarios that a browser alone can observe and that the frameworks' own stores break. */
const broken = Object.keys(scenarios).filter((sentence) =>
  [
    "race: a slow save after a logout",
    "race: a slow save after a rotation",
    "the lifetime ends a session in use",
    "merge: requests that change different keys",
    "merge: a second save in one request",
  ].some((beginning) => sentence.startsWith(beginning)),
);

describe.each([expressSessionAlone, fastifySessionsAlone, koaSessionAlone])("$name", (framework) => {
  test("the scenarios are there", () => {
    expect(broken).toHaveLength(5);
  });

  test.each(broken)("breaks: %s", async (sentence) => {
    const play = scenarios[sentence];
    const open = { store: memoryStore(), close: async () => undefined };
    if (!play) throw new Error("no such scenario");
    await expect(onStage(framework, open, play)).rejects.toThrow(/^expected/);
  });
});
