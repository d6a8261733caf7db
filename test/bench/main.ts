import { parseArgs } from "node:util";
import type { Arena } from "./competitor.ts";
import { memoryArena } from "./memory.ts";
import { mongoArena } from "./mongo.ts";
import { postgresArena } from "./postgres.ts";
import { redisArena } from "./redis.ts";
import { pauses } from "./pauses.ts";
import { report } from "./report.ts";
import { run, type Size } from "./run.ts";

const ARENAS: Record<string, () => Promise<Arena>> = {
  memory: memoryArena,
  redis: redisArena,
  postgres: postgresArena,
  mongo: mongoArena,
};

const FULL: Size = {
  sessions: 100_000,
  concurrencies: [1, 16, 64, 256],
  rounds: 7,
  sliceMs: 2000,
  revokedUsers: 5,
};

/** Shows that it runs, and nothing of how fast. */
const SHORT: Size = { sessions: 300, concurrencies: [1, 16], rounds: 1, sliceMs: 50, revokedUsers: 2 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: "boolean" } },
});
const [backend = ""] = positionals;
const open = positionals.length === 1 ? ARENAS[backend] : undefined;
if (open === undefined) {
  console.error(`pnpm bench ${Object.keys(ARENAS).join("|")} [--short]`);
  process.exit(2);
}

const arena = await open();
try {
  const cells = await run(arena, values.short ? SHORT : FULL, (line) => console.error(line));
  console.log(report(cells, values.short ? [] : arena.targets));
} finally {
  await arena.close();
}

if (backend === "memory") {
  const sessions = values.short ? 2000 : 1_000_000;
  console.log(
    `\nThe longest pause at ${sessions.toLocaleString("en")} sessions, to be 10 ms at most for Tenure:`,
  );
  for (const { name, during, longest } of await pauses(sessions)) {
    console.log(`${name}, ${during}: ${longest.toFixed(1)} ms`);
  }
}
