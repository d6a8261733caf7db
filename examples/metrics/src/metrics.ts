import { subscribe } from "node:diagnostics_channel";
import type { Meter } from "@opentelemetry/api";
import type { SessionEvents } from "@tenure/core";

/**
 * Counts the events of this process with OpenTelemetry. Attributes do not contain users, sessions or
 * messages, so the number of series stays small and metrics identify nobody.
 */
export function countEvents(meter: Meter): void {
  const events = meter.createCounter("tenure.events", {
    description: "Events of Tenure, by name, outcome and reason",
    unit: "{event}",
  });
  const ended = meter.createCounter("tenure.sessions.ended", {
    description: "Sessions that were ended before their time, by reason and by whom",
    unit: "{session}",
  });
  for (const name of Object.keys(ATTRIBUTES) as (keyof SessionEvents)[]) {
    subscribe(`tenure:${name}`, (message) => {
      const facts = message as Record<string, string | number>;
      const attributes = Object.fromEntries(ATTRIBUTES[name].map((key) => [key, facts[key]]));
      events.add(1, { event: name, outcome: facts["outcome"], ...attributes });
      if (name === "revoked") ended.add(Number(facts["count"]), attributes);
    });
  }
}

/**
 * The fields of an event that become attributes besides its name and outcome. The type makes the compiler
 * require an entry for a new event.
 */
const ATTRIBUTES: Record<keyof SessionEvents, readonly string[]> = {
  created: [],
  "logged-in": [],
  "login-refused": ["why"],
  rotated: [],
  revoked: ["why", "by"],
  unbound: [],
  expired: [],
  "late-save-dropped": [],
  "conflict-merged": [],
  "touch-failed": [],
  "superseded-token-used": [],
  unreadable: [],
  // Its `why` is a message with many possible values.
  refused: [],
  "store-failure": [],
};
