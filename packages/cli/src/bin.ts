#!/usr/bin/env node
import { run } from "./run.ts";

// The reader of a pipe has closed it, as in `tenure list ada | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

// Tenure's warnings are meant for the application. `doctor` finds what they are about.
process.removeAllListeners("warning");
process.on("warning", ({ name, message }) => {
  const isExpected =
    name === "TenureWarning" || (name === "ExperimentalWarning" && message.startsWith("SQLite"));
  if (!isExpected) process.stderr.write(`tenure: ${name}: ${message}\n`);
});

async function main(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2));
}

void main();
