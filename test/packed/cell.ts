import { mkdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { type Manager, managers } from "./managers.ts";
import { run } from "./pack.ts";

/**
 * One combination of the matrix: the package manager and the Node version with which projects are set up and
 * run.
 */
export interface Cell {
  readonly manager: Manager;
  /** The major version of Node. */
  readonly node: string;
  /** A human-readable line with the versions: "npm 11.4.2 on Node 24.9.0". */
  readonly about: string;
  /** The environment in which a command finds this Node and this manager. */
  readonly environment: NodeJS.ProcessEnv;
}

/**
 * The manager or the Node version cannot be installed from the registry, or does not start on this machine.
 */
export class CellMissing extends Error {
  override readonly name = "CellMissing";
}

/**
 * Installs a package manager and a Node version into `folder`, both from packages of the registry, so that
 * all machines get the same.
 *
 * @param major the major version of Node
 * @throws CellMissing if they cannot be installed or started
 */
export async function prepareCell(folder: string, name: string, major: string): Promise<Cell> {
  const manager = managers.find((one) => one.name === name);
  if (!manager) {
    throw new TypeError(
      `Unknown manager ${name}. Known managers: ${managers.map((one) => one.name).join(", ")}.`,
    );
  }
  try {
    const node = process.version.startsWith(`v${major}.`) ? process.execPath : await nodeOf(folder, major);
    const programs = join(await install(folder, manager.specifier(major)), ".bin");
    const registry = (await run(folder, "npm", "config", "get", "registry")).trim();
    const environment = environmentOf([dirname(node), programs], {
      npm_config_registry: registry,
      // npm uses a cached version that satisfies a range, instead of checking each package for a newer one.
      npm_config_prefer_offline: "true",
      // Yarn 1 caches a tarball by name and version, and would use the tarball of an earlier build from the
      // user's cache.
      YARN_CACHE_FOLDER: join(folder, `cache-of-${name}`),
      // Yarn 4 does not read npm's configuration, and refuses to write a lockfile with CI=true.
      YARN_NPM_REGISTRY_SERVER: registry.replace(/\/$/u, ""),
      YARN_ENABLE_IMMUTABLE_INSTALLS: "false",
      YARN_ENABLE_GLOBAL_CACHE: "false",
    });
    const running = (await run(folder, node, "--version")).trim();
    if (!running.startsWith(`v${major}.`)) throw new Error(`node@${major} is ${running}`);
    // In an empty folder, because managers obey the `packageManager` field of a manifest in a parent folder.
    const empty = join(folder, "empty");
    mkdirSync(empty, { recursive: true });
    const version = await runIn({ environment }, empty, manager.command, "--version");
    return {
      manager,
      node: major,
      environment,
      about: `${name} ${version.trim()} on Node ${running.slice(1)}`,
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CellMissing(`${name} on Node ${major}: ${reason}`, { cause: error });
  }
}

/** Runs a command with the cell's Node and manager. Returns what it printed. */
export async function runIn(
  { environment }: Pick<Cell, "environment">,
  cwd: string,
  command: string,
  ...args: string[]
): Promise<string> {
  return run({ cwd, env: environment }, command, ...args);
}

/**
 * Installs the binary's own package. The package `node` fetches it by an install script, which npm 12 does
 * not run.
 */
async function nodeOf(folder: string, major: string): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  return join(await install(folder, `${name}@${major}`), name, "bin/node");
}

/** Installs a program into its own folder below `parent`, once. Returns its `node_modules`. */
export function install(parent: string, specifier: string): Promise<string> {
  const folder = join(parent, "programs", specifier.replaceAll("/", "-"));
  let installing = installed.get(folder);
  if (!installing) installed.set(folder, (installing = installInto(folder, specifier)));
  return installing;
}

const installed = new Map<string, Promise<string>>();

async function installInto(folder: string, specifier: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  await run(folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", specifier);
  return join(folder, "node_modules");
}

/**
 * Returns this process's environment without the variables of pnpm and vitest. With them, a project could
 * find a program of the workspace, or behave as it does under a test runner.
 */
function environmentOf(path: readonly string[], more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(?:p?npm_|yarn_|vitest|test$|node_env$|node_path$|node_options$|init_cwd$|mode$|dev$|prod$)/iu.test(
        name,
      ),
  );
  const { PATH = "", ...rest } = Object.fromEntries(kept);
  const outside = PATH.split(delimiter).filter((folder) => !folder.includes("node_modules"));
  return { ...rest, PATH: [...path, ...outside].join(delimiter), ...more };
}
