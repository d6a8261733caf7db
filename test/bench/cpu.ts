import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/**
 * Returns a prefix for a client's command line that pins the client to the first core, or an empty prefix if
 * pinning is not possible. The client must be pinned from its start, when V8 creates threads for as many
 * cores as it finds. Several threads on one core would compete.
 */
export function onFirstCore(): readonly string[] {
  if (availableParallelism() < 2) return [];
  try {
    execFileSync("taskset", ["-c", "0", "true"]);
    return ["taskset", "-c", "0"];
  } catch {
    return [];
  }
}

/** Pins a server to the second core. Returns a description of the result. */
export function pinServer(pid: number): string {
  if (availableParallelism() < 2) return "not pinned: there is one core";
  try {
    // Processes that the server forks later inherit the core.
    for (const one of processTree(pid)) {
      execFileSync("taskset", ["-acp", "1", String(one)], { stdio: ["ignore", "ignore", "inherit"] });
    }
    return "on core 1";
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return missing ? "not pinned: there is no taskset here" : "not pinned: taskset refused";
  }
}

/**
 * Returns the CPU time of a process and its descendants so far, in microseconds, with a resolution of 10 ms.
 * Linux only.
 */
export function cpuTime(pid: number): number {
  let ticks = 0;
  for (const one of processTree(pid)) {
    // utime and stime, and those of child processes that have ended.
    for (const field of [11, 12, 13, 14]) ticks += Number(stat(one)?.[field] ?? 0);
  }
  return ticks * (1_000_000 / TICKS_A_SECOND);
}

const TICKS_A_SECOND = 100;

function processTree(ancestor: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? Number(stat(Number(name))?.[1]) : Number.NaN;
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [ancestor];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

/** Returns the fields of /proc/PID/stat from the state on. `undefined`: the process has ended. */
function stat(pid: number): string[] | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    return line.slice(line.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
