import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type ClientProcess, startClient } from "./client-process.ts";
import { contests } from "./contests.ts";
import { onFirstCore, pinServer } from "./cpu.ts";
import { pauses } from "./pauses.ts";
import { protectCosts } from "./protect.ts";
import { report } from "./report.ts";
import { run, type Size } from "./run.ts";

const FULL: Size = {
  sessions: 100_000,
  concurrencies: [1, 16, 64, 256],
  rounds: 7,
  sliceMs: 2000,
  revokedUsers: 5,
};

/** Only shows that the benchmark runs. Its figures mean nothing. */
const SHORT: Size = { sessions: 300, concurrencies: [1, 16], rounds: 1, sliceMs: 50, revokedUsers: 2 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: "boolean" }, json: { type: "string" } },
});
const [backend = ""] = positionals;
const contest = positionals.length === 1 ? await contests[backend]?.() : undefined;
if (contest === undefined) {
  console.error(`pnpm bench ${Object.keys(contests).join("|")} [--short] [--json FILE]`);
  process.exit(2);
}

const log = (line: string): void => console.error(line);
const server = await contest.server?.();
const clients: ClientProcess[] = [];
try {
  log(onFirstCore().length > 0 ? "clients on core 0" : "clients not pinned");
  log(`server: ${server?.about ?? "none, sessions are in the memory of each client"}`);
  for (const name of Object.keys(contest.competitors)) {
    clients.push(await startClient(backend, name, server?.url ?? "", server?.pid));
  }
  if (server?.pid !== undefined) log(`server ${pinServer(server.pid)}`);
  const cells = await run(clients, values.short ? SHORT : FULL, log);
  console.log(report(cells, values.short ? [] : contest.targets));
  if (values.json !== undefined) {
    const about = {
      backend,
      server: server?.about ?? "in the process",
      node: process.version,
      measuredAt: new Date(),
    };
    writeFileSync(values.json, `${JSON.stringify({ ...about, cells }, null, 2)}\n`);
  }
} finally {
  await Promise.all(clients.map((client) => client.close()));
  await server?.stop();
}

if (backend === "memory") {
  const [turns, perTurn] = values.short ? [1, 500] : [15, 20_000];
  console.log("\nThe option protect, client CPU (target: adds at most 15 µs to a page view of 0.9 KB):");
  for (const { during, plain, isProtected } of await protectCosts(turns, perTurn)) {
    const [before, after] = [plain, isProtected].map((micros) => `${micros.toFixed(1)} µs`);
    console.log(
      `protect, ${during}: ${before} without, ${after} with, adds ${(isProtected - plain).toFixed(1)} µs`,
    );
  }
  const sessions = values.short ? 2000 : 1_000_000;
  console.log(
    `\nThe longest pause at ${sessions.toLocaleString("en")} sessions (target for Tenure: at most 10 ms):`,
  );
  for (const { name, during, longest } of await pauses(sessions)) {
    console.log(`${name}, ${during}: ${longest.toFixed(1)} ms`);
  }
}
