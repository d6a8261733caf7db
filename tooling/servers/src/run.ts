import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { removeContainers } from "./docker.ts";

/**
 * What one Node process started, so that it never outlives that process.
 *
 * A run is a folder whose name tells its owner (`host~pid~start of that pid~random`). It holds the servers' data and a ledger of
 * what was started. The owner ends its run itself ({@link endRun}); if it was killed, its guard does, a small process of
 * its own session that waits for the owner's end of a pipe to close; if the guard was killed too (a reboot), the next
 * run does, as it begins. A run whose owner is alive is never touched.
 */
export function runFolder(): string {
  own ??= beginRun();
  return own;
}

/** Notes a process group that this run started, before anything waits for it. `signal` is what ends it at once. */
export function rememberProcess(pid: number, signal: "SIGKILL" | "SIGQUIT"): void {
  const startedAt = startOf(pid);
  if (startedAt === undefined) return;
  const entry: LedgerEntry = { pid, startedAt, signal };
  appendFileSync(join(runFolder(), "ledger"), `${JSON.stringify(entry)}\n`);
}

/** Notes that this run is about to start containers; they carry the labels of {@link runLabels}. */
export function rememberDocker(): void {
  const mark = join(runFolder(), "docker");
  if (existsSync(mark)) return;
  appendFileSync(mark, "");
  // Containers outlive a reboot, their folders may not.
  void removeContainers({ [HOST_LABEL]: hostname() }, (labels) => !ownerAlive(labels[RUN_LABEL] ?? "")).catch(
    () => undefined,
  );
}

/** The labels by which the containers of this run are found. */
export function runLabels(): Record<string, string> {
  return { [HOST_LABEL]: hostname(), [RUN_LABEL]: basename(runFolder()) };
}

/** Ends all that a run started and removes its folder. Without an argument: this process' own run, if there is one. */
export async function endRun(folder: string | undefined = own): Promise<void> {
  if (folder === undefined) return;
  const entries = readLedger(folder).filter((entry) => startOf(entry.pid) === entry.startedAt);
  for (const { pid, signal } of entries) killGroup(pid, signal);
  const deadline = Date.now() + 3000;
  for (const { pid, startedAt } of entries) {
    while (startOf(pid) === startedAt && Date.now() < deadline) await sleep(20);
    if (startOf(pid) === startedAt) killGroup(pid, "SIGKILL");
  }
  if (existsSync(join(folder, "docker"))) await removeContainers({ [RUN_LABEL]: basename(folder) });
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  if (folder === own) own = undefined;
}

interface LedgerEntry {
  readonly pid: number;
  /** With the pid it names one process for ever: pids are used again. */
  readonly startedAt: string;
  readonly signal: "SIGKILL" | "SIGQUIT";
}

const RUN_LABEL = "tenure.servers.run";
const HOST_LABEL = "tenure.servers.host";

let own: string | undefined;

function beginRun(): string {
  const home = join(tmpdir(), `tenure-servers-${process.getuid?.() ?? "user"}`);
  mkdirSync(home, { recursive: true });
  sweep(home);
  const name = [hostname(), process.pid, startOf(process.pid), randomBytes(4).toString("hex")].join("~");
  const folder = join(home, name);
  mkdirSync(folder);
  // A Postgres that root starts runs as somebody else and must pass through.
  for (const path of [home, folder]) chmodSync(path, 0o711);
  guard(folder);
  return folder;
}

function sweep(home: string): void {
  for (const name of readdirSync(home)) {
    if (name.startsWith(`${hostname()}~`) && !ownerAlive(name))
      void endRun(join(home, name)).catch(() => undefined);
  }
}

function ownerAlive(name: string): boolean {
  const [, pid, startedAt] = name.split("~");
  return startedAt !== undefined && startOf(Number(pid)) === startedAt;
}

function guard(folder: string): void {
  const script = fileURLToPath(new URL("guard.ts", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [script, folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: tmpdir(),
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  child.unref();
  if (child.stdin !== null && "unref" in child.stdin && typeof child.stdin.unref === "function")
    child.stdin.unref();
}

function readLedger(folder: string): LedgerEntry[] {
  const path = join(folder, "ledger");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line.endsWith("}")).map((line) => JSON.parse(line) as LedgerEntry);
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended by itself.
  }
}

/** When a process started, in whatever the system counts in; `undefined`: there is none, or it only waits to be reaped. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform !== "linux") {
      return (
        execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || undefined
      );
    }
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
