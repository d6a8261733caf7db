import { askDesk } from "./ask-desk.ts";
import { findWay, type Startable, type Way } from "./way.ts";

export type UsableWay = Exclude<Way, { by: "nothing" }>;

/** How this run gets a server of its own; rejects where there is no way. Found once a run, or once a process without a desk. */
export async function wayTo(backend: Startable): Promise<UsableWay> {
  const asked = await askDesk({ ask: "way", backend });
  const way = asked !== undefined && "by" in asked ? asked : await (found[backend] ??= findWay(backend));
  if (way.by === "nothing") throw new Error(`No ${backend} can be started here. ${way.why}`);
  return way;
}

const found: { [backend in Startable]?: Promise<Way> } = {};
