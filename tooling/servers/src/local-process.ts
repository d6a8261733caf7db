import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./own-server.ts";
import { tellGuard } from "./run.ts";
import { until } from "./until.ts";

export interface LocalProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Takes what it prints. */
  readonly folder: string;
  /** Absent: the user who runs the tests. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** What ends it at once and leaves nothing behind in the system. */
  readonly abandon?: "SIGKILL" | "SIGQUIT";
}

/** A server as a process group of its own, so that Ctrl-C in a terminal doesn't end it before the tests are done. */
export function localProcess(options: LocalProcessOptions): Machine {
  const { command, args, folder, user, abandon = "SIGKILL" } = options;
  const log = join(folder, "log");
  let child: ChildProcess | undefined;
  const running = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null;
  const pidOf = (): number => {
    if (child?.pid === undefined) throw new Error(`${command} was never started: call start() first.`);
    return child.pid;
  };
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    if (running()) process.kill(-pidOf(), name);
  };

  return {
    async start() {
      const output = openSync(log, "a");
      child = spawn(command, args, { detached: true, stdio: ["ignore", output, output], ...user });
      closeSync(output);
      await once(child, "spawn");
      child.unref();
      const pid = pidOf();
      tellGuard({ pid, signal: abandon });
      child.once("exit", () => tellGuard({ pid, signal: null }));
    },
    async end(name) {
      if (child === undefined || !running()) return;
      const gone = once(child, "exit");
      child.ref();
      const children = childrenOf(pidOf());
      // Only the first process gets a gentle signal: PostgreSQL's children take SIGINT and SIGTERM as their own.
      if (name === "SIGKILL") await signal(name);
      else child.kill(name);
      await gone;
      // PostgreSQL's children are groups of their own, and it does not start while one of before holds its shared memory.
      await until("its children ended", 5000, async () => !children.some(isRunning));
    },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    running: async () => running(),
    pid: async () => pidOf(),
    lastWords: async () => readFileSync(log, "utf8").trimEnd().split("\n").slice(-12).join("\n"),
  };
}

/** None where the system does not list them, as Linux does. */
function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

/** A child that ended and that nobody has reaped, a zombie, holds nothing any more. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !["Z", "X"].includes(stat.charAt(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}
