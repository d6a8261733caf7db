#!/usr/bin/env node
import { run } from "./run.ts";

// The reader of a pipe has read enough, as in `tenure list ada | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

// Tenure's warnings are for the program of the application. What they are about, doctor finds.
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
