import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";

test("the command in the README serves the demo within 10 seconds", async () => {
  const cwd = join(import.meta.dirname, "../../..");
  const before = performance.now();
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
    expect(performance.now() - before).toBeLessThan(10_000);
  } finally {
    if (command.pid !== undefined && command.exitCode === null) process.kill(-command.pid, "SIGKILL");
  }
});
