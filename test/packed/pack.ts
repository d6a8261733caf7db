import { execFile } from "node:child_process";
import { globSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");

/** The export condition with which the workspace imports its sources. */
export const SOURCE = "@tenure/source";

/** A package as it would be published. */
export interface Packed {
  readonly name: string;
  readonly tarball: string;
  /** The files' contents by their paths within the package. */
  readonly files: ReadonlyMap<string, string>;
  readonly manifest: Manifest;
  readonly entries: readonly Entry[];
}

/** An entry that applications import. */
export interface Entry {
  readonly specifier: string;
  readonly source: string;
}

export interface Manifest {
  readonly version: string;
  readonly main: string;
  readonly types: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Readonly<Record<string, Exports>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export type Exports = string | { readonly [condition: string]: Exports };

/** Builds all published packages and packs them into `destination`. */
export async function packAll(destination: string): Promise<Packed[]> {
  await pnpm(root, "run", "build");
  await pnpm(root, "--recursive", "--filter", "./packages/*", "pack", "--pack-destination", destination);
  const packed: Packed[] = [];
  for (const folder of readdirSync(join(root, "packages"))) {
    const name = `@tenure/${folder}`;
    const home = join(root, "packages", folder);
    const workspace = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as Manifest;
    const entries = Object.entries(workspace.exports).map(([path, { [SOURCE]: source }]) => {
      if (typeof source !== "string") throw new Error(`${name} has no source for the entry ${path}.`);
      return { specifier: join(name, path), source: join(home, source) };
    });
    const tarball = join(destination, `tenure-${folder}-${workspace.version}.tgz`);
    const files = await unpack(tarball, join(destination, "unpacked", folder));
    const manifest = JSON.parse(files.get("package.json") ?? "{}") as Manifest;
    packed.push({ name, tarball, files, manifest, entries });
  }
  return packed;
}

/** Runs pnpm as the commands in the README do. Returns its output. */
export async function pnpm(cwd: string, ...args: string[]): Promise<string> {
  return run(cwd, "npx", "-y", "pnpm@12", ...args);
}

/**
 * Runs a command. Resolves to its output. Rejects with the output if the command fails.
 *
 * @param where the folder, or the folder and the environment
 */
export async function run(
  where: string | { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
  command: string,
  ...args: string[]
): Promise<string> {
  const options = typeof where === "string" ? { cwd: where } : where;
  try {
    const { stdout } = await promisify(execFile)(command, args, { ...options, maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error });
  }
}

/** Returns the version that the workspace uses, which is already in pnpm's store. */
export function versionOf(name: string): string {
  const found = globSync(
    ["test", "."].map((folder) => join(root, folder, "node_modules", name, "package.json")),
  );
  if (!found[0]) throw new Error(`${name} is not installed in the workspace.`);
  return (JSON.parse(readFileSync(found[0], "utf8")) as { version: string }).version;
}

async function unpack(tarball: string, folder: string): Promise<Map<string, string>> {
  mkdirSync(folder, { recursive: true });
  await run(folder, "tar", "-xzf", tarball, "--strip-components=1");
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  return new Map(paths.map((path) => [relative(folder, path), readFileSync(path, "utf8")]));
}
