import type { SqliteDatabase } from "@tenure/sqlite";

export interface Transaction {
  /** `begin`, or `begin immediate`. */
  readonly kind: string;
  /** The `synchronous` setting at its commit, if it wrote. */
  readonly synchronous: string | undefined;
  /** Milliseconds from after its begin to before its commit. */
  readonly duration: number;
  /** Milliseconds of processor time in between, which other processes of the machine do not lengthen. */
  readonly cpuTime: number;
}

/** Wraps a database, to report each transaction before its commit. */
export function observeTransactions(
  database: SqliteDatabase,
  report: (transaction: Transaction) => void,
): SqliteDatabase {
  let synchronous: string | undefined;
  let kind = "";
  let beganAt = 0;
  let cpuTimeAtBegin = 0;

  return {
    exec(sql) {
      if (sql === "commit") {
        const duration = performance.now() - beganAt;
        report({ kind, synchronous, duration, cpuTime: cpuTime() - cpuTimeAtBegin });
      }
      const result = database.exec(sql);
      if (sql.startsWith("pragma synchronous = ")) synchronous = sql.slice("pragma synchronous = ".length);
      if (sql.startsWith("begin")) {
        kind = sql;
        beganAt = performance.now();
        cpuTimeAtBegin = cpuTime();
      }
      return result;
    },
    prepare: (sql) => database.prepare(sql),
  };
}

function cpuTime(): number {
  // Before Node 23.9, the time of the whole process, which is nearly the same in these tests.
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  return (user + system) / 1000;
}
