import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface HeldBack extends AsyncDisposable {
  readonly url: string;
  /** Holds back everything that clients send from now on. */
  hold(): void;
  /** Holds back everything that clients send after the next reply. */
  holdAfterReply(): void;
  /** Whether anything is held back. */
  isHolding(): boolean;
  /** Passes on everything that is held back. */
  release(): void;
}

/** Opens a proxy that can hold back what clients send, like a slow network. */
export async function heldBack(target: string): Promise<HeldBack> {
  const address = new URL(target);
  const waiting: (() => void)[] = [];
  const sockets = new Set<Socket>();
  let isHeld = false;
  let holdNext = false;
  const proxy = createServer((client) => {
    const to = connect(Number(address.port), address.hostname);
    for (const socket of [client, to]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
    client.on("data", (bytes) => (isHeld ? waiting.push(() => to.write(bytes)) : to.write(bytes)));
    to.on("data", (bytes) => {
      if (holdNext) isHeld = true;
      client.write(bytes);
    });
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    hold: () => void (isHeld = true),
    holdAfterReply: () => void (holdNext = true),
    isHolding: () => waiting.length > 0,
    release() {
      isHeld = holdNext = false;
      for (const pass of waiting.splice(0)) pass();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  };
}
