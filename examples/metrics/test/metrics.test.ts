import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { memoryStore, Sessions } from "@tenure/core";
import { expect, test } from "vitest";
import { countEvents } from "../src/metrics.ts";

test("events are counted by name, outcome and reason, and no attribute names a user or a session (ASVS 16.2.5)", async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter });
  countEvents(new MeterProvider({ readers: [reader] }).getMeter("test"));
  const sessions = new Sessions({ store: memoryStore() });
  await sessions.create({ userId: "ada" });
  await sessions.create({ userId: "ada" });
  await sessions.revokeAllForUser("ada", { actor: "ada" });
  await sessions.createWithToken("weak", {}).catch(() => undefined);
  await reader.forceFlush();

  const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics[0]?.metrics ?? []);
  const counted = Object.fromEntries(
    metrics.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      dataPoints.map(({ attributes, value }) => ({ ...attributes, value })),
    ]),
  );
  expect(counted).toEqual({
    "tenure.events": [
      { event: "created", outcome: "success", value: 2 },
      { event: "logged-in", outcome: "success", value: 2 },
      { event: "revoked", outcome: "success", why: "user", by: "user", value: 1 },
      { event: "refused", outcome: "refused", value: 1 },
    ],
    "tenure.sessions.ended": [{ why: "user", by: "user", value: 2 }],
  });
  await reader.shutdown();
});

test("the program prints the counters, without users", async () => {
  const args = ["--conditions=@tenure/source", "src/main.ts"];
  const cwd = join(import.meta.dirname, "..");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd });
  expect(stderr).toBe("");
  expect(stdout).toContain("tenure.events");
  expect(stdout).toMatch(/event: 'logged-in'[^}]*\}[^}]*value: 2/);
  expect(stdout).not.toContain("u-7");
});
