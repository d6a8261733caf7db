import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("the command in the README serves the demo in less than four times the time in which npx starts pnpm", async () => {
  const cwd = join(import.meta.dirname, "../../..");
  const beforeControl = performance.now();
  await promisify(execFile)("npx", ["-y", "pnpm@12", "--version"], { cwd });
  const before = performance.now();
  const control = before - beforeControl;
  // Its own process group, because npx and pnpm have child processes.
  const command = spawn("npx", ["-y", "pnpm@12", "demo", "--port", "0"], { cwd, detached: true });
  try {
    let output = "";
    for (const from of [command.stdout, command.stderr]) {
      from.on("data", (chunk: Buffer) => (output += chunk.toString()));
    }
    const ended = once(command, "exit").then(() => true);
    const address = (): string | undefined => /^Tenure demo: (http:\S+)$/mu.exec(output)?.[1];
    while (address() === undefined) {
      if (await Promise.race([once(command.stdout, "data").then(() => false), ended]))
        throw new Error(output);
    }
    expect((await fetch(address() ?? "")).status).toBe(200);
    expect(performance.now() - before).toBeLessThan(4 * control);
  } finally {
    if (command.pid !== undefined && command.exitCode === null) process.kill(-command.pid, "SIGKILL");
  }
});
