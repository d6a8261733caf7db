import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { flushCompileCache } from "node:module";
import { Server } from "node:net";
import { pathToFileURL } from "node:url";
import type { SessionStore } from "@tenure/core";

/**
 * Runs a program of a README, as it stands there, in a process of its own, and tells the test what happens. Three things
 * around it are not as on a reader's machine:
 * - servers listen on a free port, and their connections look as if TLS had ended before them, so that `Secure` cookies go out;
 * - what connects to a backend's usual port on this machine meets the test's server (usual-ports.ts);
 * - an `app` that the program only makes is served, and a `store` is asked to revoke a session.
 */
export type Told =
  | { readonly told: "event"; readonly name: string; readonly why?: string; readonly count?: number }
  /** `port`: where it answers, if it does. */
  | { readonly told: "loaded"; readonly port: number | null };

for (const name of ["created", "rotated", "revoked"]) {
  subscribe(`tenure:${name}`, (event) => {
    const { why, count } = event as { why?: string; count?: number };
    tell({
      told: "event",
      name,
      ...(why === undefined ? {} : { why }),
      ...(count === undefined ? {} : { count }),
    });
  });
}

const servers: Server[] = [];

// eslint-disable-next-line typescript/unbound-method -- called with its `this` below
const { listen } = Server.prototype;
Server.prototype.listen = function listenOnFreePort(this: Server, ...args: unknown[]) {
  this.on("connection", (socket) => Object.assign(socket, { encrypted: true }));
  servers.push(this);
  const listening = args.findLast((argument) => typeof argument === "function") as (() => void) | undefined;
  return listen.call(this, { port: 0, host: "127.0.0.1" }, listening);
} as typeof listen;

const program = (await import(pathToFileURL(process.argv[2] ?? "").href)) as {
  app?: App;
  store?: Pick<SessionStore, "revoke">;
};
// For the next program: the test kills this one.
flushCompileCache();
if (program.app && servers.length === 0) await program.app.listen({ port: 0 });
await program.store?.revoke("one that never was");
for (const server of servers) {
  if (!server.listening) await once(server, "listening");
}
const address = servers[0]?.address();
tell({ told: "loaded", port: typeof address === "object" && address ? address.port : null });

interface App {
  /** Fastify's answers a promise, the others' a server. */
  listen(options: object): unknown;
}

function tell(what: Told): void {
  process.send?.(what);
}
