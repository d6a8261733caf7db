import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Puts clients on the first core and a server on the second. Answers what came of it, for people. */
export function pin(clientPids: readonly number[], serverPid: number | undefined): string {
  if (availableParallelism() < 2) return "one core: not pinned";
  const clients = pinned(0, clientPids);
  if (serverPid === undefined) return `clients ${clients}`;
  // What it forks later comes to the same core.
  return `clients ${clients}, server ${pinned(1, family(serverPid))}`;
}

/** What came of it, for people. */
function pinned(core: number, pids: readonly number[]): string {
  try {
    for (const pid of pids) taskset(core, pid);
    return `on core ${core}`;
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return missing ? "not pinned: there is no taskset here" : "not pinned: taskset refused";
  }
}

/** CPU time that a process and its descendants have used so far, microseconds, in steps of 10 ms. Linux. */
export function cpuTime(pid: number): number {
  let ticks = 0;
  for (const one of family(pid)) {
    // utime, stime, and those of children that ended.
    for (const field of [11, 12, 13, 14]) ticks += Number(stat(one)?.[field] ?? 0);
  }
  return ticks * (1_000_000 / TICKS_A_SECOND);
}

const TICKS_A_SECOND = 100;

function taskset(core: number, pid: number): void {
  execFileSync("taskset", ["-acp", String(core), String(pid)], { stdio: ["ignore", "ignore", "inherit"] });
}

function family(ancestor: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? Number(stat(Number(name))?.[1]) : Number.NaN;
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [ancestor];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

/** The fields of /proc/PID/stat from the state on; `undefined`: it ended. */
function stat(pid: number): string[] | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    return line.slice(line.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
