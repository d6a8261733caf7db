import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeRecord, FIELDS, HEADER, POSITIONS } from "../src/layout.ts";

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

test("a value is not decoded if a number is not in digits, or a length is more than it has", () => {
  const header = `s1 0000000001 ${"1795452912345 ".repeat(3)}0000001800000 1795452912345 00000003 00000000 00000021 `;
  const value = `${header}an-id ada123456781795452912345data`;
  expect(decodeRecord("an-id", value)).toMatchObject({ userId: "ada", data: "data" });
  for (const { 0: start, 1: end } of Object.values(POSITIONS).slice(1)) {
    for (const wrong of ["x", " ", "/", ":", "-"]) {
      const damaged = value.slice(0, end - 1) + wrong + value.slice(end);
      expect(decodeRecord("an-id", damaged), `${wrong} at ${start}`).toBeUndefined();
    }
  }
  for (const name of ["userLength", "marksLength", "noncesLength"] as const) {
    const [start, end] = POSITIONS[name];
    expect(decodeRecord("an-id", `${value.slice(0, start)}00000099${value.slice(end)}`)).toBeUndefined();
  }
});
