import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface ListeningServer {
  /** In the form `http://127.0.0.1:8080`. */
  readonly origin: string;
  close: () => Promise<void>;
}

/** Starts a server on a free port of 127.0.0.1. `close` also closes the connections that are open. */
export async function listen(server: Server): Promise<ListeningServer> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
