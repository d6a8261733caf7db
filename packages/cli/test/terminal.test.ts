import { expect, test } from "vitest";
import { progressLine } from "../src/terminal.ts";
import { instant, table } from "../src/table.ts";

test("a progress bar fills, and stays full if the estimated total was too low", () => {
  expect(progressLine("importing", 1, 4)).toBe("importing: [######------------------] 25% 1/4");
  expect(progressLine("importing", 6, 4)).toBe("importing: [########################] 100% 6/6");
  expect(progressLine("importing", 6, null)).toBe("importing: 6");
});

test("a table escapes control characters, so that a user id cannot control the terminal", () => {
  expect(table(["id", "user"], [["a", "\u001B[2Jada\n"]])).toBe("id  user\na   \\u{1b}[2Jada\\u{a}");
});

test("an instant is shown in UTC, and null as a dash", () => {
  expect(instant(0)).toBe("1970-01-01T00:00:00Z");
  expect(instant(null)).toBe("-");
});
