import { spawn } from "node:child_process";
import { once } from "node:events";

/** Ends something that this process started, when the guard is disposed or this process has ended. */
export interface Guard extends AsyncDisposable {
  /** Sets the script's variable `$last`. */
  write(line: string): void;
}

/**
 * Starts a shell that reads its standard input to the end and then runs a script with `args` as `$1`, `$2`
 * and so on. When this process ends, for whatever reason, the system closes the pipe between the two, and the
 * script runs.
 */
export function guard(script: string, ...args: readonly string[]): Guard {
  const shell = spawn("sh", ["-c", `while read -r line; do last=$line; done\n${script}`, "guard", ...args], {
    // So that Ctrl-C in a terminal does not reach the shell.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  });
  const exited = once(shell, "exit");
  // local-process.ts writes when its server exits. At that moment the shell may have stopped reading, because
  // its script is ending the server.
  shell.stdin.on("error", () => undefined);
  return {
    write: (line) => void shell.stdin.write(`${line}\n`),
    async [Symbol.asyncDispose]() {
      shell.stdin.end();
      await exited;
    },
  };
}
