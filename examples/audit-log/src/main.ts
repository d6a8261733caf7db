import { memoryStore, Sessions } from "@tenure/core";
import { writeAuditLog } from "./audit-log.ts";

writeAuditLog((line) => process.stdout.write(line), "shop");

// A day in the life of an application.
const sessions = new Sessions({ store: memoryStore() });
const visitor = await sessions.create({ cart: ["tea"] });
const phone = await sessions.logIn(visitor.token, "u-7");
const laptop = await sessions.logIn(null, "u-7");
await sessions.logIn(null, "u-8");

// The user ends the phone's session on the page "your devices", and an administrator logs the user out
// everywhere.
if (phone.session) await sessions.revokeById(phone.session.id, { userId: "u-7", actor: "u-7" });
const since = await sessions.since();
await sessions.revokeAllForUser("u-7", { actor: "admin-1" });

// A login that began before is refused. A late save of the logged-out laptop is dropped.
await sessions.logIn(null, "u-7", { since });
if (laptop.session) await sessions.save(laptop.session, { theme: "dark" });
