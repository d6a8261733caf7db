import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDuration } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { programsOf } from "../readme/programs.ts";
import { asvs } from "./asvs.ts";
import { nist } from "./nist.ts";
import { pageOf } from "./page.ts";
import { evidenceIn } from "./tests.ts";

const root = join(import.meta.dirname, "../..");
const evidence = evidenceIn(root);

describe.each([asvs, nist])("$page", (standard) => {
  const requirements = standard.sections.flatMap((section) => section.requirements);

  test("is up to date with what `pnpm evidence` generates", () => {
    expect(readFileSync(join(root, standard.page), "utf8")).toBe(pageOf(standard, evidence));
  });

  test("lists each requirement once, and says how it is met or what the application must do", () => {
    expect(new Set(requirements.map(({ id }) => id)).size).toBe(requirements.length);
    const unexplained = requirements.filter(
      ({ met, application }) => met === undefined && application === undefined,
    );
    expect(unexplained).toEqual([]);
  });

  test("lists every requirement whose id is in a test's title", () => {
    const known = new Set(requirements.map(({ id }) => `${standard.mark} ${id}`));
    const named = evidence.flatMap(({ ids }) => ids.filter((id) => id.startsWith(standard.mark)));
    expect(named.length).toBeGreaterThan(5);
    expect([...new Set(named)].filter((id) => !known.has(id))).toEqual([]);
  });

  test("names a test for each requirement that is met by code", () => {
    const named = new Set(evidence.flatMap(({ ids }) => ids));
    const untested = requirements.filter(
      ({ id, met, byDocument }) => met !== undefined && !byDocument && !named.has(`${standard.mark} ${id}`),
    );
    expect(untested.map(({ id }) => id)).toEqual([]);
  });
});

test("the timeouts in docs/TIMEOUTS.md are within the limits of each assurance level (NIST 2.1.3, 2.2.3, 2.3.3)", () => {
  const text = programsOf(root, "docs/TIMEOUTS.md")
    .map((program) => program.text)
    .join("\n");
  const limits = { aal1: ["30d", "30d"], aal2: ["1h", "24h"], aal3: ["15m", "12h"] } as const;
  for (const [level, [idle, lifetime]] of Object.entries(limits)) {
    const line = new RegExp(`${level} = .*idleTimeout: "(\\w+)", lifetime: "(\\w+)"`, "u").exec(text);
    const [documentedIdle, documentedLifetime] = [line?.[1], line?.[2]].map((one) =>
      parseDuration(level, one as "1h"),
    );
    expect(documentedIdle).toBeLessThanOrEqual(parseDuration(level, idle));
    expect(documentedLifetime).toBeLessThanOrEqual(parseDuration(level, lifetime));
  }
});
