import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { onTestFinished } from "vitest";

/** The events of one name from now on, until the test is over. */
export function heard(name: string): unknown[] {
  const events: unknown[] = [];
  const listen = (event: unknown): void => void events.push(event);
  subscribe(`tenure:${name}`, listen);
  onTestFinished(() => {
    unsubscribe(`tenure:${name}`, listen);
  });
  return events;
}
