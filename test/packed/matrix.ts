import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startPostgres } from "@tenure/servers";
import { type Cell, CellMissing, prepareCell } from "./cell.ts";
import { managers } from "./managers.ts";
import { packAll } from "./pack.ts";
import { projects } from "./projects/all.ts";
import { runProject } from "./run-project.ts";

/**
 * `pnpm packed`: the tarballs in every project of `projects/`, by every package manager, on every Node that the packages support.
 * `--manager`, `--node` and `--project` narrow it, and may be repeated. A manager or Node that this machine cannot have is reported;
 * it is a failure if it was named, or with `REQUIRE_CELLS=1`.
 */
const names = { type: "string", multiple: true } as const;
const { values } = parseArgs({ options: { manager: names, node: names, project: names } });
const wanted = {
  managers: values.manager ?? managers.map(({ name }) => name),
  nodes: values.node ?? ["22", "24", "26"],
};
const isRequired =
  process.env["REQUIRE_CELLS"] === "1" || values.manager !== undefined || values.node !== undefined;

interface Row {
  readonly cell: string;
  readonly project: string;
  readonly result: "passed" | "FAILED" | "MISSING" | "not run";
  readonly seconds: number;
}
const rows: Row[] = [];

const house = realpathSync(mkdtempSync(join(tmpdir(), "tenure-matrix-")));
try {
  await using postgres = await startPostgres();
  const tarballs = join(house, "tarballs");
  mkdirSync(tarballs);
  const packed = await packAll(tarballs);
  const chosen = values.project ?? Object.keys(projects);
  for (const manager of wanted.managers) {
    for (const major of wanted.nodes) {
      const cell = await prepare(manager, major);
      if (cell === undefined) continue;
      const waiting = [...chosen];
      const work = async (): Promise<void> => {
        for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
          const project = projects[name];
          if (!project)
            throw new TypeError(
              `Unknown project ${name}. Known projects: ${Object.keys(projects).join(", ")}.`,
            );
          const reason = cell.manager.cannot?.[name];
          if (reason !== undefined) {
            console.error(`!! NOT RUN: ${cell.about}, ${name}: ${reason}`);
            rows.push({ cell: cell.about, project: name, result: "not run", seconds: 0 });
            continue;
          }
          await time(cell.about, name, () =>
            runProject(project, cell, { house, packed, postgres: postgres.url }),
          );
        }
      };
      // Two at once: while one waits for the registry, the other compiles.
      await Promise.all([work(), work()]);
    }
  }
} finally {
  rmSync(house, { recursive: true, force: true, maxRetries: 5 });
}
report();

/** Absent where this machine cannot have it. */
async function prepare(manager: string, major: string): Promise<Cell | undefined> {
  try {
    return await prepareCell(house, manager, major);
  } catch (error) {
    if (!(error instanceof CellMissing)) throw error;
    console.error(`!! NOT RUN, because this machine cannot have it: ${error.message}`);
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
    console.error(`!! ${cell}, ${project}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  rows.push({ cell, project, result, seconds });
  console.log(`${result}  ${cell}  ${project}  ${seconds} s`);
}

/** A row per cell, a column per project. */
function report(): void {
  const table: Record<string, Record<string, string>> = {};
  for (const { cell, project, result, seconds } of rows) {
    (table[cell] ??= {})[project] = result === "passed" ? `${seconds} s` : result;
  }
  console.table(table);
  const count = (result: Row["result"]): number => rows.filter((row) => row.result === result).length;
  console.log(`${count("passed")} passed, ${count("FAILED")} failed, ${count("MISSING")} cells missing`);
  if (count("FAILED") > 0 || rows.length === 0 || (isRequired && count("MISSING") > 0)) process.exitCode = 1;
}
