/** A process that waits for its parent, migrates the file in its argument, and creates a session there. */
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { newSession } from "./new-session.ts";

process.send!("ready");
await once(process, "message");
const database = new DatabaseSync(process.argv[2]!);
await migrate(database);
process.send!(await sqliteStore(database).create(newSession(`process ${process.pid}`)));
process.disconnect();
