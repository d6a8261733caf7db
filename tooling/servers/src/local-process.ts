import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import type { Machine } from "./machine.ts";
import { rememberProcess } from "./run.ts";
import { until } from "./until.ts";

export interface LocalProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** The file that takes what it prints. */
  readonly log: string;
  /** Whom it runs as. Absent: whoever runs the tests. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** What ends it at once and leaves nothing behind in the system. */
  readonly abandon: "SIGKILL" | "SIGQUIT";
}

/** A server as a process group of its own, so that Ctrl-C in a terminal doesn't end it before the tests are done. */
export function localProcess({ command, args, log, user, abandon }: LocalProcessOptions): Machine {
  let child: ChildProcess | undefined;
  const alive = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals): void => {
    if (alive() && child?.pid !== undefined) process.kill(-child.pid, name);
  };

  return {
    async start() {
      const output = openSync(log, "a");
      child = spawn(command, args, { detached: true, stdio: ["ignore", output, output], ...user });
      closeSync(output);
      await once(child, "spawn");
      child.unref();
      if (child.pid !== undefined) rememberProcess(child.pid, abandon);
    },
    async end(name) {
      if (!alive() || child === undefined) return;
      const gone = once(child, "exit");
      const pid = child.pid as number;
      child.ref();
      const children = childrenOf(pid);
      // Only the first process gets a gentle signal: Postgres' children take SIGINT and SIGTERM as their own.
      if (name === "SIGKILL") signal(name);
      else child.kill(name);
      await gone;
      // Postgres' children are groups of their own, and it does not start while one of before holds its shared memory.
      await until("its children ended", 5000, async () => !children.some(isRunning));
    },
    async pause() {
      signal("SIGSTOP");
    },
    async resume() {
      signal("SIGCONT");
    },
    async running() {
      return alive();
    },
    async pid() {
      if (child?.pid === undefined) throw new Error(`${command} was never started: call start() first.`);
      return child.pid;
    },
    async lastWords() {
      return readFileSync(log, "utf8").trimEnd().split("\n").slice(-12).join("\n");
    },
  };
}

/** Linux says it; elsewhere, none. */
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
