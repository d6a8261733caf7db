import { DatabaseSync } from "node:sqlite";
import { testStore } from "@tenure/conformance";
import type { SessionStore } from "@tenure/core";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import { afterAll, describe, test } from "vitest";
import { newFiles } from "./files.ts";
import { storeInOtherProcess } from "./other-process.ts";

const file = newFiles()();
let other: ReturnType<typeof storeInOtherProcess> | undefined;
afterAll(async () => (await other)?.stop());

testStore(
  { describe, test },
  {
    name: "two processes on one file",
    async open() {
      const database = new DatabaseSync(file);
      await migrate(database);
      other ??= storeInOtherProcess(file);
      return inTurn<SessionStore>([sqliteStore(database), await other]);
    },
    unreachable: null,
    mixedUp: null,
  },
);
