/** A process that waits for its parent, migrates the file in its argument, and creates a session there. */
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";

process.send!("ready");
await once(process, "message");
const database = new DatabaseSync(process.argv[2]!);
await migrate(database);
const session = { id: `of ${process.pid}`, userId: "ada", data: "", idle: 3_600_000, lifetime: 3_600_000 };
process.send!(await sqliteStore(database).create(session));
process.disconnect();
