import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { onTestFinished } from "vitest";

/** Collects the events of one name until the test is over. */
export function collectEvents(name: string): unknown[] {
  const events: unknown[] = [];
  const listen = (event: unknown): void => void events.push(event);
  subscribe(`tenure:${name}`, listen);
  onTestFinished(() => {
    unsubscribe(`tenure:${name}`, listen);
  });
  return events;
}
