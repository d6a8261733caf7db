import { appendFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startPostgres } from "@tenure/servers";
import { type Cell, CellMissing, prepareCell } from "./cell.ts";
import { managers } from "./managers.ts";
import { packAll } from "./pack.ts";
import { projects } from "./projects/all.ts";
import { type Fixture, runProject } from "./run-project.ts";

/**
 * `pnpm packed` tests the tarballs in every project of `projects/`, with every package manager, on every Node
 * version that the packages support. `--manager`, `--node` and `--project` select some of them, and may be
 * repeated. A manager or Node version that cannot be installed is reported. It is a failure if it was named,
 * or with `REQUIRE_CELLS=1`.
 */
const names = { type: "string", multiple: true } as const;
const { values } = parseArgs({ options: { manager: names, node: names, project: names } });
const majors = values.node ?? ["22", "24", "26"];
const cells = values.manager
  ? values.manager.flatMap((name) => majors.map((node) => ({ name, node })))
  : managers.flatMap(({ name, nodes = majors }) =>
      majors.filter((node) => nodes.includes(node)).map((node) => ({ name, node })),
    );
const isRequired =
  process.env["REQUIRE_CELLS"] === "1" || values.manager !== undefined || values.node !== undefined;

interface Row {
  readonly cell: string;
  readonly project: string;
  readonly result: "passed" | "FAILED" | "MISSING" | "not run";
  readonly seconds: number;
}
const rows: Row[] = [];

/** `.ci/run` sums the lines of this file: passed, failed, skipped. It prints `${tally}.failures`. */
const tally = process.env["TENURE_TALLY"];

const temporary = realpathSync(mkdtempSync(join(tmpdir(), "tenure-matrix-")));
process.on("exit", () => rmSync(temporary, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const chosen = Object.entries(projects).filter(([name]) => values.project?.includes(name) ?? true);
if (chosen.length === 0) {
  throw new TypeError(`Unknown project. Known projects: ${Object.keys(projects).join(", ")}.`);
}

{
  await using postgres = await startPostgres();
  const tarballs = join(temporary, "tarballs");
  mkdirSync(tarballs);
  const fixture = { folder: temporary, packed: await packAll(tarballs), postgres: postgres.url };
  for (const { name, node } of cells) {
    const cell = await prepare(name, node);
    if (cell !== undefined) await runAll(cell, fixture);
  }
}
report();

async function runAll(cell: Cell, fixture: Fixture): Promise<void> {
  const waiting = [...chosen];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [name, project] = next;
      const reason = cell.manager.cannot?.(name, cell.node);
      if (reason === undefined) {
        await time(cell.about, name, () => runProject(project, cell, fixture));
      } else {
        console.error(`!! NOT RUN: ${cell.about}, ${name}: ${reason}`);
        rows.push({ cell: cell.about, project: name, result: "not run", seconds: 0 });
      }
    }
  };
  // Two run concurrently: while one waits for the registry, the other compiles.
  await Promise.all([work(), work()]);
}

/** Prepares a cell. Resolves to `undefined` if it cannot be installed or started. */
async function prepare(manager: string, major: string): Promise<Cell | undefined> {
  try {
    return await prepareCell(temporary, manager, major);
  } catch (error) {
    if (!(error instanceof CellMissing)) throw error;
    console.error(`!! NOT RUN, because it cannot be installed or started here: ${error.message}`);
    rows.push({ cell: `${manager} on Node ${major}`, project: "all", result: "MISSING", seconds: 0 });
    return undefined;
  }
}

async function time(cell: string, project: string, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  let result: Row["result"] = "passed";
  try {
    await work();
  } catch (error) {
    result = "FAILED";
    const failure = `${cell}, ${project}: ${error instanceof Error ? error.message : String(error)}`;
    console.error(`!! ${failure}`);
    if (tally) appendFileSync(`${tally}.failures`, `FAILED ${failure.slice(0, 4000)}\n`);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  rows.push({ cell, project, result, seconds });
  console.log(`${result}  ${cell}  ${project}  ${seconds} s`);
}

function report(): void {
  const table: Record<string, Record<string, string>> = {};
  for (const { cell, project, result, seconds } of rows) {
    (table[cell] ??= {})[project] = result === "passed" ? `${seconds} s` : result;
  }
  console.table(table);
  const count = (result: Row["result"]): number => rows.filter((row) => row.result === result).length;
  console.log(`${count("passed")} passed, ${count("FAILED")} failed, ${count("MISSING")} cells missing`);
  if (tally) appendFileSync(tally, `${count("passed")} ${count("FAILED")} ${count("not run")}\n`);
  if (count("FAILED") > 0 || rows.length === 0 || (isRequired && count("MISSING") > 0)) process.exitCode = 1;
}
