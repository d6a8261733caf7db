import { setTimeout as sleep } from "node:timers/promises";
import type { OwnServer } from "@tenure/servers";

/**
 * Starts a server that was killed. A backend that it forked while it was killed lives on for a moment, and as long as it does a new one
 * refuses to start.
 */
export async function startedAgain(server: OwnServer): Promise<void> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      await server.start();
      return;
    } catch (error) {
      if (attempts === 20) throw error;
      await sleep(200);
    }
  }
}
