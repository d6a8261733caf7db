import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { SessionEvents } from "@tenure/core";
import { onTestFinished } from "vitest";

/** Collects the events with these names until the test finishes. */
export function publishedEvents<Name extends keyof SessionEvents>(...names: Name[]): SessionEvents[Name][] {
  const events: SessionEvents[Name][] = [];
  const listen = (event: unknown): void => void events.push(event as SessionEvents[Name]);
  for (const name of names) subscribe(`tenure:${name}`, listen);
  onTestFinished(() => {
    for (const name of names) unsubscribe(`tenure:${name}`, listen);
  });
  return events;
}
