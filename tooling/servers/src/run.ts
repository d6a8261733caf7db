import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/**
 * What this process starts never outlives it. A guard, a small process in a session of its own, is told what there is. When this
 * process is gone, whatever ended it, the system closes the pipe between the two, and the guard ends all that is left.
 */
let run: { readonly folder: string; readonly guard: Writable } | undefined;

/** A line to the guard: a process group that began, and the signal that ends it at once, or one that has ended; or containers. */
export type Started =
  | { readonly pid: number; readonly signal: NodeJS.Signals | null }
  | { readonly label: string };

export function tellGuard(started: Started): void {
  ours().guard.write(`${JSON.stringify(started)}\n`);
}

/** Makes a folder that is removed with the run. */
export function folderOfRun(name: string): string {
  const folder = join(ours().folder, name);
  mkdirSync(folder);
  return folder;
}

/** Containers with this label belong to this process. */
export function labelOfRun(): string {
  return basename(ours().folder);
}

function ours(): NonNullable<typeof run> {
  if (run !== undefined) return run;
  const folder = mkdtempSync(join(tmpdir(), "tenure-servers-"));
  // A PostgreSQL that root starts runs as another user, who must get through.
  chmodSync(folder, 0o711);
  const script = fileURLToPath(new URL("guard.ts", import.meta.url));
  const guard = spawn(process.execPath, [script, folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: tmpdir(),
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  guard.unref();
  if ("unref" in guard.stdin && typeof guard.stdin.unref === "function") guard.stdin.unref();
  run = { folder, guard: guard.stdin };
  return run;
}
