import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface HoldingProxy extends AsyncDisposable {
  readonly url: string;
  /** Holds back everything that clients send from now on. */
  hold(): void;
  /** Holds back everything that clients send after the next reply. */
  holdAfterReply(): void;
  /** Whether anything is held back. */
  holdsAny(): boolean;
  /** Forwards everything that is held back, and holds nothing more. */
  release(): void;
}

/** Opens a proxy that can delay what clients send, as a slow network would. */
export async function holdingProxy(target: string): Promise<HoldingProxy> {
  const address = new URL(target);
  const held: (() => void)[] = [];
  const sockets = new Set<Socket>();
  let isHolding = false;
  let holdsAfterReply = false;
  const proxy = createServer((client) => {
    const server = connect(Number(address.port), address.hostname);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
    client.on("data", (bytes) => (isHolding ? held.push(() => server.write(bytes)) : server.write(bytes)));
    server.on("data", (bytes) => {
      if (holdsAfterReply) isHolding = true;
      client.write(bytes);
    });
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    hold: () => void (isHolding = true),
    holdAfterReply: () => void (holdsAfterReply = true),
    holdsAny: () => held.length > 0,
    release() {
      isHolding = holdsAfterReply = false;
      for (const forward of held.splice(0)) forward();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  };
}
