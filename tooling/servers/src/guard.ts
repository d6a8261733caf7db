import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { removeContainers } from "./container.ts";
import type { Started } from "./run.ts";
import { until } from "./until.ts";

// The process that run.ts starts: it ends what its owner told it of once the owner is gone.
const groups = new Map<number, NodeJS.Signals>();
const labels = new Set<string>();
for await (const line of createInterface(process.stdin)) {
  const started = JSON.parse(line) as Started;
  if ("label" in started) labels.add(started.label);
  else if (started.signal === null) groups.delete(started.pid);
  else groups.set(started.pid, started.signal);
}
for (const [pid, signal] of groups) kill(pid, signal);
await until("they ended", 3000, async () => [...groups.keys()].every((pid) => !kill(pid, 0))).catch(() => {
  for (const pid of groups.keys()) kill(pid, "SIGKILL");
});
await Promise.allSettled([...labels].map(removeContainers));
rmSync(process.argv[2] ?? "", { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });

/** Whether there was such a process group. */
function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
