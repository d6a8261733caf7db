import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeRecord, FIELDS, HEADER } from "../src/layout.ts";

test("the README's table of the header matches the code", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const rows = FIELDS.map(([name, width, meaning]) => `| \`${name}\` | ${width} | ${meaning} |`);
  expect(readme).toContain(rows.join("\n"));
});

test("a value is not decoded if it has another format version or another id, or is truncated", () => {
  const header = `s1 0000000001 ${"1795452912345 ".repeat(3)}0000001800000 1795452912345 -------- 00000000 00000000 `;
  expect(header).toHaveLength(HEADER);
  expect(decodeRecord("an-id", `${header}an-id data`)).toMatchObject({ id: "an-id", data: "data" });
  for (const value of [
    `${header.replace("s1", "s2")}an-id data`,
    `${header}an-i data`,
    `${header}an-idx data`,
    `${header}an-id`,
    header,
    "",
  ]) {
    expect(decodeRecord("an-id", value)).toBeUndefined();
  }
  expect(decodeRecord("an-id", `${header.replace("s1", "x1")}an-id `)).toBeNull();
});
