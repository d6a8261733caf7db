import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { guard } from "./guard.ts";
import type { ServerProcess } from "./server-process.ts";

export interface LocalProgram {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** Absent: the user that runs the tests. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** The signal that ends it immediately and leaves nothing behind in the system. SIGKILL if absent. */
  readonly abandon?: "KILL" | "QUIT";
}

/** Starts a server as a process of this machine, in a new folder that is removed together with it. */
export async function startLocalProcess(
  prepare: (folder: string) => LocalProgram | Promise<LocalProgram>,
): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), "tenure-server-"));
  await using started = new AsyncDisposableStack();
  const guarded = started.use(guard(END, folder));
  const { command, user, abandon = "KILL" } = await prepare(folder);
  const [program = "", ...args] = command;
  let output = "";

  const launch = async () => {
    const child = spawn(program, args, {
      cwd: folder,
      // Its own process group, so that Ctrl-C in a terminal does not end it before the tests have finished.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      ...user,
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output = (output + text).slice(-2000)));
    // "close" comes once its children, which share its output, have ended too. PostgreSQL does not start
    // again while one of them runs.
    const closed = once(child, "close");
    await once(child, "spawn");
    guarded.write(`${abandon} ${child.pid}`);
    child.once("exit", () => guarded.write(""));
    return { child, closed };
  };
  let running = await launch();
  const kept = started.move();

  return {
    async start() {
      running = await launch();
    },
    async end(signal) {
      running.child.kill(signal);
      await running.closed;
    },
    pause: async () => void running.child.kill("SIGSTOP"),
    resume: async () => void running.child.kill("SIGCONT"),
    pid: async () => running.child.pid!,
    lastOutput: async () => output,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * The last line is a signal and a process id, or empty. The signal is sent to the process, which is killed if
 * it runs 3 s later.
 */
const END = `
set -- "$1" $last
if [ $# = 3 ]; then
  kill -s "$2" "$3"
  for tenth in $(seq 30); do kill -0 "$3" || break; sleep 0.1; done
  kill -s KILL "$3"
fi
rm -rf "$1"`;
