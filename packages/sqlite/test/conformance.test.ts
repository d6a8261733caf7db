import { type MixUp, testStore } from "@tenure/conformance";
import { migrate, type SqliteDatabase, type SqliteStatement, sqliteStore } from "@tenure/sqlite";
import { describe, test } from "vitest";
import { drivers } from "./drivers.ts";
import { newFiles } from "./files.ts";

const newFile = newFiles();

for (const [name, connect] of drivers) {
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
      // There is no server. errors.test.ts covers faults of the file.
      unreachable: null,
      async mixedUp(mixUp) {
        await migrate(connect(file));
        return sqliteStore(withMixedUpReplies(connect(file), mixUp));
      },
    },
  );
}

function withMixedUpReplies(database: SqliteDatabase, mixUp: MixUp): SqliteDatabase {
  return {
    exec: (sql) => database.exec(sql),
    prepare(sql) {
      const statement = database.prepare(sql);
      if (!sql.includes("from tenure_sessions")) return statement;
      const run: SqliteStatement["run"] = (...values) => statement.run(...values);
      if (mixUp.kind === "value") return { run, get: () => mixUp.value, all: () => [mixUp.value] };
      return {
        run,
        get: (...values) => statement.get(...mixUp.swapped(values)),
        all: (...values) => statement.all(...mixUp.swapped(values)),
      };
    },
  };
}
