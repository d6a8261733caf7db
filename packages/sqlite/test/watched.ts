import type { SqliteDatabase, SqliteStatement } from "@tenure/sqlite";

/** What a transaction did. */
export interface Transaction {
  /** `begin`, or `begin immediate`. */
  readonly kind: string;
  /** The `synchronous` setting at its commit, if it wrote. */
  readonly synchronous: string | undefined;
  /** How many statements ran in it. */
  readonly statements: number;
  /** Milliseconds from after its begin to before its commit. */
  readonly took: number;
  /** Milliseconds of processor time in between, which other work of the machine does not lengthen. */
  readonly worked: number;
}

/** Wraps a database, to report each transaction before its commit. */
export function watched(
  database: SqliteDatabase,
  report: (transaction: Transaction) => void,
): SqliteDatabase {
  let synchronous: string | undefined;
  let kind = "";
  let statements = 0;
  let beganAt = 0;
  let usedAt = 0;

  const counted = (statement: SqliteStatement): SqliteStatement => ({
    get(...values) {
      statements += 1;
      return statement.get(...values);
    },
    all(...values) {
      statements += 1;
      return statement.all(...values);
    },
    run(...values) {
      statements += 1;
      return statement.run(...values);
    },
  });

  return {
    exec(sql) {
      if (sql === "commit") {
        const took = performance.now() - beganAt;
        report({ kind, synchronous, statements, took, worked: used() - usedAt });
      }
      const result = database.exec(sql);
      if (sql.startsWith("pragma synchronous = ")) synchronous = sql.slice("pragma synchronous = ".length);
      if (sql.startsWith("begin")) {
        kind = sql;
        statements = 0;
        beganAt = performance.now();
        usedAt = used();
      }
      return result;
    },
    prepare: (sql) => counted(database.prepare(sql)),
  };
}

function used(): number {
  // Before Node 23.9, the time of the whole process, which is nearly the same in these tests.
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  return (user + system) / 1000;
}
