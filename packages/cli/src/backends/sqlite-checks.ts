import { accessSync, constants, statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "@tenure/sqlite";
import type { Finding } from "../backend.ts";

export async function checkSqlite(database: DatabaseSync, path: string): Promise<Finding[]> {
  const version = String(database.prepare("select sqlite_version() as shown").get()?.["shown"]);
  return [
    { check: "version", status: "ok", message: `SQLite ${version}` },
    checkFileSystem(path),
    checkRights(path),
    await checkSchema(database),
  ];
}

/** Linux's numbers for network file systems, from statfs(2). Other systems have other numbers. */
const NETWORK: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "SMB",
  0xfe534d42: "SMB",
  0x00c36400: "Ceph",
};

function checkFileSystem(path: string): Finding {
  const check = "file system";
  if (process.platform !== "linux") return { check, status: "unknown", message: "unknown on this system" };
  const name = NETWORK[statfsSync(path).type];
  if (name === undefined) return { check, status: "ok", message: "not a known network file system" };
  return {
    check,
    status: "problem",
    message: `the file is on ${name}, whose locks are unreliable: two machines would corrupt it`,
    remedy: "use a disk of this machine, or another store",
  };
}

function checkRights(path: string): Finding {
  const check = "rights";
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return { check, status: "ok", message: "the file and its folder are writable" };
  } catch {
    return {
      check,
      status: "problem",
      message: "the file or its folder is not writable, and SQLite keeps two more files next to it",
      remedy: "give this user write access to both",
    };
  }
}

async function checkSchema(database: DatabaseSync): Promise<Finding> {
  const check = "schema";
  try {
    await sqliteStore(database).read("doctor");
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { check, status: "problem", message, remedy: "run tenure migrate, or name another file" };
  }
  const { journal_mode: mode } = database.prepare("pragma journal_mode").get() ?? {};
  if (mode === "wal") return { check, status: "ok", message: "the tables are up to date, in WAL" };
  return {
    check,
    status: "problem",
    message: `the journal mode is ${String(mode)}: reads wait for writes`,
    remedy: "run tenure migrate",
  };
}
