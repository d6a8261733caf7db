import { spawn } from "node:child_process";
import { once } from "node:events";

/** Ends what this process started: when it is disposed, or when this process is gone. */
export interface Guard extends AsyncDisposable {
  /** Sets `$last` of the script. */
  write(line: string): void;
}

/**
 * Starts a shell that reads its standard input to the end and then runs a script with `args` as `$1`, `$2` and so on. When this
 * process is gone, whatever ended it, the system closes the pipe between the two, and the script runs.
 */
export function guard(script: string, ...args: readonly string[]): Guard {
  const shell = spawn("sh", ["-c", `while read -r line; do last=$line; done\n${script}`, "guard", ...args], {
    // Ctrl-C in a terminal does not reach it.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  });
  const gone = once(shell, "exit");
  // A server that the script ends is reported to a shell that reads no more.
  shell.stdin.on("error", () => undefined);
  return {
    write: (line) => void shell.stdin.write(`${line}\n`),
    async [Symbol.asyncDispose]() {
      shell.stdin.end();
      await gone;
    },
  };
}
