#!/usr/bin/env node
import { run } from "./run.ts";

process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  // The reader of a pipe has closed it, as in `tenure list ada | head`.
  if (code === "EPIPE") process.exit(0);
  process.stderr.write(`tenure: ${message}\n`);
  process.exit(1);
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
