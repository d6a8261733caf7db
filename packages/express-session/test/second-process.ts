import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expressSessionStore } from "@tenure/express-session";
import { application } from "./app.ts";
import { parentStore } from "./ipc-store.ts";
import { sessionsOn } from "./sessions-on.ts";

/** A server in a child process: sends its origins to its parent, and serves until the parent ends. */
const store = parentStore();

process.send?.({ origin: await listen(false), resaving: await listen(true) });
process.on("disconnect", () => process.exit());

async function listen(resave: boolean): Promise<string> {
  const server = createServer(application(expressSessionStore(sessionsOn(store)), { resave }).app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
