import { DatabaseSync } from "node:sqlite";
import { type MixUp, testStore } from "@tenure/conformance";
import { migrate, type SqliteDatabase, type SqliteStatement, sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { describe, test } from "vitest";
import { newFiles } from "./files.ts";

const newFile = newFiles();

const drivers: Readonly<Record<string, (file: string) => SqliteDatabase>> = {
  "node:sqlite": (file) => new DatabaseSync(file),
  // By default, it waits for a lock inside the call. The store must turn that off.
  "better-sqlite3": (file) => new BetterSqlite3(file),
};

for (const [name, connect] of Object.entries(drivers)) {
  const file = newFile();
  testStore(
    { describe, test },
    {
      name,
      async open() {
        const database = connect(file);
        await migrate(database);
        return sqliteStore(database);
      },
      // There is no server. refusals.test.ts covers faults of the file.
      unreachable: null,
      async mixedUp(mixUp) {
        await migrate(connect(file));
        return sqliteStore(mixingUp(connect(file), mixUp));
      },
    },
  );
}

function mixingUp(database: SqliteDatabase, mixUp: MixUp): SqliteDatabase {
  return {
    exec: (sql) => database.exec(sql),
    prepare(sql) {
      const statement = database.prepare(sql);
      if (!sql.includes("from tenure_sessions")) return statement;
      if (mixUp.kind === "value")
        return { ...bound(statement), get: () => mixUp.value, all: () => [mixUp.value] };
      return {
        get: (...values) => statement.get(...mixUp.swapped(values)),
        all: (...values) => statement.all(...mixUp.swapped(values)),
        run: (...values) => statement.run(...values),
      };
    },
  };
}

function bound(statement: SqliteStatement): SqliteStatement {
  return {
    get: (...values) => statement.get(...values),
    all: (...values) => statement.all(...values),
    run: (...values) => statement.run(...values),
  };
}
