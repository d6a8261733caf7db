import { Cluster, Redis } from "ioredis";
import { createClient } from "redis";
import type { RedisClient } from "../src/index.ts";

interface Client {
  on(event: "error", listener: (error: Error) => void): unknown;
}

/**
 * The clients of a test file, closed together. The errors that they emit are ignored, because the store
 * rejects with them.
 */
export class Clients implements Disposable {
  readonly #open: Client[] = [];
  readonly #connecting = new WeakMap<object, Promise<unknown>>();

  add<Given extends Client>(client: Given): Given {
    client.on("error", () => undefined);
    this.#open.push(client);
    return client;
  }

  /** Adds a client of node-redis and starts to connect it. */
  connecting<Given extends Client & { connect(): Promise<unknown> }>(client: Given): Given {
    const connecting = this.add(client).connect();
    connecting.catch(() => undefined);
    this.#connecting.set(client, connecting);
    return client;
  }

  /** Waits until a client from {@link connecting} has connected. Returns any other client at once. */
  async ready<Given extends object>(client: Given): Promise<Given> {
    await this.#connecting.get(client);
    return client;
  }

  redis(url: string): Redis {
    return this.add(new Redis(url));
  }

  cluster(ports: readonly number[]): Cluster {
    return this.add(new Cluster(onLoopback(ports)));
  }

  [Symbol.dispose](): void {
    for (const client of this.#open) close(client);
  }
}

/** A client library, as the fault tests use it. */
export interface Library {
  readonly name: string;
  /** Opens a client that reconnects after this many milliseconds, or never if null. */
  readonly open: (clients: Clients, url: string, retryAfter?: number | null) => RedisClient;
  /** Whether the client resends a command if its reply is lost. */
  readonly resends: boolean;
}

export const LIBRARIES: readonly Library[] = [
  {
    name: "ioredis",
    open: (clients, url, retryAfter = 50) => clients.add(new Redis(url, { retryStrategy: () => retryAfter })),
    resends: true,
  },
  {
    name: "node-redis",
    open: (clients, url, retryAfter = 50) =>
      clients.connecting(createClient({ url, socket: { reconnectStrategy: () => retryAfter ?? false } })),
    resends: false,
  },
];

/**
 * Returns the address of another database of the server. A scan reads all keys of its database, including
 * those of other tests.
 */
export function databaseOf(url: string, number: number): string {
  return new URL(`/${number}`, url).href;
}

export function onLoopback(ports: readonly number[]): { host: string; port: number }[] {
  return ports.map((port) => ({ host: "127.0.0.1", port }));
}

/** `destroy` of node-redis throws if the client is closed. */
function close(client: object): void {
  try {
    if ("destroy" in client && typeof client.destroy === "function") {
      Promise.resolve(client.destroy()).catch(() => undefined);
    } else if ("disconnect" in client && typeof client.disconnect === "function") client.disconnect();
  } catch {
    // It was already closed.
  }
}
