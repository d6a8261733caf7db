import { execFile } from "node:child_process";
import { channel } from "node:diagnostics_channel";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { writeAuditLog } from "../src/audit-log.ts";

const root = join(import.meta.dirname, "..");

test("the program writes one line of JSON per event, with time, place, user, event and outcome (ASVS 16.2.1, 16.2.2, 16.2.4, 16.3.1, 16.3.3)", async () => {
  const args = ["--conditions=@tenure/source", "src/main.ts"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const event of events) {
    expect(event["time"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(event).toMatchObject({ service: "shop", host: hostname(), pid: expect.any(Number) });
    expect(event).toMatchObject({ level: expect.any(String), outcome: expect.any(String) });
  }
  const summaries = events.map(({ event, userId, why, by, actor }) =>
    [event, userId, why, by, actor].filter((fact) => typeof fact === "string").join(" "),
  );
  expect(summaries).toEqual([
    "created",
    "rotated u-7",
    "logged-in u-7",
    "created u-7",
    "logged-in u-7",
    "created u-8",
    "logged-in u-8",
    "revoked u-7 id user u-7",
    "revoked u-7 user administrator admin-1",
    "login-refused u-7 logged-out-meanwhile",
    "late-save-dropped u-7",
  ]);
  expect(stdout).not.toMatch(/tea|dark/);
});

test("an event stays on one line whatever its strings contain, and an error is written without its cause (ASVS 16.4.1, 16.2.5)", () => {
  const lines: string[] = [];
  writeAuditLog((line) => lines.push(line), "shop");
  const cause = new Error("row: s3cr3t");
  const error = new Error("read: the store failed", { cause });
  const facts = { at: 0, event: "store-failure", outcome: "failure", id: null };
  channel("tenure:store-failure").publish({ ...facts, userId: 'ada\n{"event":"logged-in"}', error });
  expect(lines).toHaveLength(1);
  expect(lines[0]!.trimEnd()).not.toContain("\n");
  expect(lines[0]).not.toContain("s3cr3t");
  expect(JSON.parse(lines[0]!)).toMatchObject({
    time: "1970-01-01T00:00:00.000Z",
    userId: 'ada\n{"event":"logged-in"}',
    error: "Error: read: the store failed",
  });
});
