import { expect, test } from "vitest";
import { recentIds } from "../../src/bridge/recent-ids.ts";
import { idOf } from "../../src/token.ts";

test("the latest ids are known, and no others", () => {
  const recent = recentIds(65_536);
  const ids = Array.from({ length: 100_000 }, (_, n) => idOf(String(n)));
  const [met, never] = [ids.slice(0, 50_000), ids.slice(50_000)];
  for (const id of met) recent.add(id);
  const latest = met.slice(-30_000);
  expect(latest.filter((id) => recent.has(id)).length).toBeGreaterThan(29_700);
  expect(met.slice(-1000).every((id) => recent.has(id))).toBe(true);
  expect(never.filter((id) => recent.has(id))).toEqual([]);
});

test("an id that is added again and again takes one place", () => {
  const recent = recentIds(8);
  for (let n = 0; n < 7; n += 1) recent.add(`id ${n}`);
  for (let n = 0; n < 100; n += 1) recent.add("id 0");
  expect(Array.from({ length: 7 }, (_, n) => recent.has(`id ${n}`))).toEqual(
    Array.from({ length: 7 }, () => true),
  );
});

test("an id that is met again and again outlives all that come between", () => {
  const recent = recentIds(8);
  for (let n = 0; n < 100; n += 1) {
    recent.add("in use");
    for (let m = 0; m < 7; m += 1) recent.add(`id ${n} ${m}`);
    expect(recent.has("in use")).toBe(true);
  }
  recent.add("one more");
  expect(recent.has("in use")).toBe(false);
});
