import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "@tenure/sqlite";
import { type Finding, ok, problem, unknown, warning } from "../finding.ts";

export async function checkSqlite(database: DatabaseSync, path: string): Promise<Finding[]> {
  return [
    ok("version", `SQLite ${process.versions["sqlite"]}`),
    checkFileSystem(path),
    checkRights(path),
    checkPrivacy(path),
    await checkSchema(database),
  ];
}

/** Linux's numbers for file systems of other machines, from statfs(2). Other systems have other numbers. */
const NETWORK: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "SMB",
  0xfe534d42: "SMB",
  0x00c36400: "Ceph",
  0x65735546: "FUSE (sshfs, gcsfuse, a folder of a virtual machine's host)",
  0x01021997: "9P (a folder of a virtual machine's host)",
};

function checkFileSystem(path: string): Finding {
  const check = "file system";
  if (process.platform !== "linux") return unknown(check, "unknown on this system");
  const name = NETWORK[statfsSync(path).type];
  if (name === undefined) return ok(check, "not a known network file system");
  return problem(
    check,
    `the file is on ${name}, whose locks are unreliable: two machines would corrupt it`,
    "use a disk of this machine, or another store",
  );
}

function checkRights(path: string): Finding {
  const check = "rights";
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return ok(check, "the file and its folder are writable");
  } catch {
    return problem(
      check,
      "the file or its folder is not writable, and SQLite keeps two more files next to it",
      "give this user write access to both",
    );
  }
}

function checkPrivacy(path: string): Finding {
  const check = "privacy";
  if (process.platform === "win32") return unknown(check, "unknown on this system");
  if (!isOpenToAll(path)) return ok(check, "not every user of this machine can open it");
  return warning(
    check,
    "every user of this machine can open the file, which holds session data",
    `chmod o= ${path}, and start the application with umask 077`,
  );
}

function isOpenToAll(path: string): boolean {
  if ((statSync(path).mode & 0o006) === 0) return false;
  for (let at = resolve(path); at !== dirname(at); at = dirname(at)) {
    if ((statSync(dirname(at)).mode & 0o001) === 0) return false;
  }
  return true;
}

async function checkSchema(database: DatabaseSync): Promise<Finding> {
  const check = "schema";
  try {
    await sqliteStore(database).read("doctor");
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const needsMigration = message.includes("migrate(database)");
    return problem(
      check,
      message,
      needsMigration ? "run tenure migrate" : "name another file, unless this is the application's",
    );
  }
  const { journal_mode: mode } = database.prepare("pragma journal_mode").get() ?? {};
  if (mode === "wal") return ok(check, "the tables are up to date, in WAL");
  return problem(check, `the journal mode is ${String(mode)}: reads wait for writes`, "run tenure migrate");
}
