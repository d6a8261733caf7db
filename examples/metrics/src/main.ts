import {
  ConsoleMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { memoryStore, Sessions } from "@tenure/core";
import { countEvents } from "./metrics.ts";

// A real application exports to its collector instead, with @opentelemetry/exporter-metrics-otlp-http.
const reader = new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter() });
const provider = new MeterProvider({ readers: [reader] });
countEvents(provider.getMeter("shop"));

const sessions = new Sessions({ store: memoryStore() });
const { token } = await sessions.create({});
await sessions.logIn(token, "u-7");
await sessions.logIn(null, "u-7");
await sessions.revokeAllForUser("u-7", { actor: "u-7" });

await provider.shutdown();
