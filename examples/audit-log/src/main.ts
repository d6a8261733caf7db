import { memoryStore, Sessions } from "@tenure/core";
import { writeAuditLog } from "./audit-log.ts";

writeAuditLog((line) => process.stdout.write(line), "shop");

// What an application does in a day.
const sessions = new Sessions({ store: memoryStore() });
const visitor = await sessions.create({ cart: ["tea"] });
const phone = await sessions.logIn(visitor.token, "u-7");
const laptop = await sessions.logIn(null, "u-7");
await sessions.logIn(null, "u-8");

// The user looks at "your devices" and ends the phone's session, and an administrator logs the user out everywhere.
if (phone.session) await sessions.revokeById(phone.session.id, { userId: "u-7", actor: "u-7" });
const since = await sessions.since();
await sessions.revokeAllForUser("u-7", { actor: "admin-1" });

// A login that had begun before is refused. What the logged-out laptop still saves is dropped.
await sessions.logIn(null, "u-7", { since });
if (laptop.session) await sessions.save(laptop.session, { theme: "dark" });
