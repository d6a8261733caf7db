import { Cluster, Redis } from "ioredis";

interface Client {
  on(event: "error", listener: (error: Error) => void): unknown;
  disconnect(): void;
}

/** The clients of a test file, closed together. Their error events are ignored, because the store rejects with the same errors. */
export class Clients implements Disposable {
  readonly #open: Client[] = [];

  add<Given extends Client>(client: Given): Given {
    client.on("error", () => undefined);
    this.#open.push(client);
    return client;
  }

  redis(url: string): Redis {
    return this.add(new Redis(url));
  }

  cluster(ports: readonly number[]): Cluster {
    return this.add(new Cluster(onLoopback(ports)));
  }

  [Symbol.dispose](): void {
    for (const client of this.#open) client.disconnect();
  }
}

export function onLoopback(ports: readonly number[]): { host: string; port: number }[] {
  return ports.map((port) => ({ host: "127.0.0.1", port }));
}
