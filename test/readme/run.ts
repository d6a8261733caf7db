import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { flushCompileCache } from "node:module";
import { Server } from "node:net";
import { pathToFileURL } from "node:url";
import type { SessionStore } from "@tenure/core";

/**
 * A message to the test from this process, which runs an unchanged program of a README. Three things differ
 * from a reader's machine:
 * - servers listen on a free port, and their connections look as if a proxy had terminated TLS, so that
 *   `Secure` cookies are sent, unless `TENURE_README_PLAIN` is set;
 * - connections to a backend's usual port on this machine reach the test's server (usual-ports.ts);
 * - an `app` that the program creates without serving it is served, and `revoke` is called on a `store` that
 *   it exports.
 */
export type Message =
  | { readonly kind: "event"; readonly name: string; readonly why?: string; readonly count?: number }
  /** `port`: where it serves HTTP. `null`: it does not. */
  | { readonly kind: "loaded"; readonly port: number | null };

for (const name of ["created", "rotated", "revoked"]) {
  subscribe(`tenure:${name}`, (event) => {
    const { why, count } = event as { why?: string; count?: number };
    send({
      kind: "event",
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
  if (process.env["TENURE_README_PLAIN"] === undefined)
    this.on("connection", (socket) => Object.assign(socket, { encrypted: true }));
  servers.push(this);
  const listening = args.findLast((argument) => typeof argument === "function") as (() => void) | undefined;
  return listen.call(this, { port: 0, host: "127.0.0.1" }, listening);
} as typeof listen;

const program = (await import(pathToFileURL(process.argv[2] ?? "").href)) as {
  app?: App;
  store?: Pick<SessionStore, "revoke">;
};
// The test kills this process. Without a flush, the next program could not use the cache.
flushCompileCache();
if (program.app && servers.length === 0) await program.app.listen({ port: 0 });
await program.store?.revoke("an id that was never created");
for (const server of servers) {
  if (!server.listening) await once(server, "listening");
}
const address = servers[0]?.address();
send({ kind: "loaded", port: typeof address === "object" && address ? address.port : null });

interface App {
  /** Fastify's `listen` returns a promise. The others return a server. */
  listen(options: object): unknown;
}

function send(message: Message): void {
  process.send?.(message);
}
