import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, isListening } from "@tenure/servers";
import { type Cell, install, runIn } from "./cell.ts";
import { type Packed, versionOf } from "./pack.ts";
import type { Project } from "./projects/project.ts";
import { visit } from "./visit.ts";

/** What projects are set up with. */
export interface Fixture {
  /** An empty folder outside of the workspace. No parent folder has a `node_modules`. */
  readonly folder: string;
  readonly packed: readonly Packed[];
  /** The address of the PostgreSQL that applications may use. */
  readonly postgres: string;
}

/**
 * Sets up a project from scratch, as its author would, builds and tests it with its own scripts, starts its
 * application and visits it.
 *
 * @throws Error with the output, if a step fails
 */
export async function runProject(
  project: Project,
  cell: Cell,
  { folder: parent, packed, postgres }: Fixture,
): Promise<void> {
  const home = join(parent, `project-${randomBytes(6).toString("hex")}`);
  const folder = join(home, "application");
  mkdirSync(home);
  try {
    await setUp(project, cell, parent, folder);
    const [command, ...add] = [cell.manager.command, ...cell.manager.add] as const;
    await runIn(
      cell,
      folder,
      command,
      ...add,
      ...project.dependencies(packed).map((name) => specifierOf(name, packed)),
    );
    write(folder, project.files({ packed, read: (path) => readFileSync(join(folder, path), "utf8") }));
    await checkOneCore(cell, folder);
    for (const script of project.scripts) await runIn(cell, folder, command, "run", script);
    if (!project.application) return;
    const environment = {
      DATABASE_URL: postgres,
      SESSIONS_TABLE: `packed_${randomBytes(6).toString("hex")}`,
    };
    if ("script" in project.application) {
      await startAndVisit(cell, folder, environment, [command, "run", project.application.script]);
      return;
    }
    // In an otherwise empty folder, so that it can use only what was bundled.
    const file = basename(project.application.file);
    const empty = join(home, "empty");
    mkdirSync(empty);
    copyFileSync(join(folder, project.application.file), join(empty, file));
    rmSync(folder, { recursive: true });
    await startAndVisit(cell, empty, environment, ["node", file]);
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function setUp({ start }: Project, cell: Cell, parent: string, folder: string): Promise<void> {
  if ("nest" in start) {
    const nest = join(await install(parent, start.nest), ".bin/nest");
    const options = ["--skip-git", "--skip-install", "--package-manager", cell.manager.nest];
    await runIn(cell, dirname(folder), nest, "new", basename(folder), ...options);
  } else {
    const manifest = { name: "application", version: "1.0.0", private: true, ...start };
    write(folder, { "package.json": JSON.stringify(manifest, null, 2) });
  }
  write(folder, cell.manager.files);
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

function specifierOf(dependency: string, packed: readonly Packed[]): string {
  if (dependency.startsWith("@tenure/")) {
    const found = packed.find(({ name }) => name === dependency);
    if (!found) throw new Error(`${dependency} was not packed.`);
    return `${dependency}@file:${found.tarball}`;
  }
  return dependency.lastIndexOf("@") > 0 ? dependency : `${dependency}@${versionOf(dependency)}`;
}

/** Checks that there is one copy of core. With two copies, there would be two `StoreError` classes. */
async function checkOneCore(cell: Cell, folder: string): Promise<void> {
  write(folder, {
    "one-core.cjs": `const { createRequire } = require("node:module");
const ours = Object.keys(require("./package.json").dependencies).filter((name) => name.startsWith("@tenure/"));
const others = ours.filter((name) => name !== "@tenure/core").map((name) => createRequire(require.resolve(name)));
const copies = new Set([require, ...others].map(({ resolve }) => resolve("@tenure/core")));
if (others.length === 0 || copies.size !== 1) throw new Error("copies of core: " + [...copies].join(", "));
`,
  });
  const [command, ...args] = [...cell.manager.node, "one-core.cjs"];
  await runIn(cell, folder, command ?? "", ...args);
  rmSync(join(folder, "one-core.cjs"));
}

async function startAndVisit(
  cell: Cell,
  cwd: string,
  environment: NodeJS.ProcessEnv,
  [command, ...args]: readonly [string, ...string[]],
): Promise<void> {
  const port = await freePort();
  const env = { ...cell.environment, ...environment, PORT: String(port) };
  // Its own process group, because the script's process is a child of the package manager.
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  let running = true;
  const ended = once(child, "exit")
    .catch((error: unknown) => (output += String(error)))
    .finally(() => (running = false));
  const end = (): void => endGroup(child.pid);
  process.on("exit", end);
  try {
    const deadline = Date.now() + START_MS;
    while (!(await isListening(port))) {
      if (!running || Date.now() > deadline) throw new Error("The application does not listen.");
      await sleep(50);
    }
    await visit(`http://127.0.0.1:${port}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${command} ${args.join(" ")}: ${reason}\n${output}`, { cause: error });
  } finally {
    end();
    process.off("exit", end);
    await ended;
  }
}

/** Only ends an application that hangs. */
const START_MS = 60_000;

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has already ended.
  }
}
