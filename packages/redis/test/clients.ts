import { Cluster, Redis } from "ioredis";
import { createClient } from "redis";
import type { RedisClient } from "../src/index.ts";

interface Client {
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** The clients of a test file, closed together. Their error events are ignored, because the store rejects with the same errors. */
export class Clients implements Disposable {
  readonly #open: Client[] = [];
  readonly #connecting = new WeakMap<object, Promise<unknown>>();

  add<Given extends Client>(client: Given): Given {
    client.on("error", () => undefined);
    this.#open.push(client);
    return client;
  }

  /** Adds a client of node-redis and lets it connect. It need not have connected yet. */
  connecting<Given extends Client & { connect(): Promise<unknown> }>(client: Given): Given {
    const connecting = this.add(client).connect();
    connecting.catch(() => undefined);
    this.#connecting.set(client, connecting);
    return client;
  }

  /** Resolves to a client of {@link connecting} once it has connected, and to another at once. */
  async ready<Given extends object>(client: Given): Promise<Given> {
    await this.#connecting.get(client);
    return client;
  }

  /** Adds a client of node-redis, and resolves once it has connected. */
  async connected<Given extends Client & { connect(): Promise<unknown> }>(client: Given): Promise<Given> {
    await this.add(client).connect();
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

/** What the fault tests need of a client besides the store. */
export interface Library {
  readonly name: string;
  /** Opens a client that tries to connect again after so many milliseconds, or never. */
  readonly open: (clients: Clients, url: string, retryAfter?: number | null) => RedisClient;
  /** Whether the client itself sends a command again whose reply was lost. */
  readonly resends: boolean;
}

/** The clients with which the fault tests run. */
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

/** The address of another database of the server. A scan passes all keys of its database: those of other tests make it long. */
export function databaseOf(url: string, number: number): string {
  return new URL(`/${number}`, url).href;
}

export function onLoopback(ports: readonly number[]): { host: string; port: number }[] {
  return ports.map((port) => ({ host: "127.0.0.1", port }));
}

/** ioredis closes by `disconnect`, and node-redis by `destroy`, which throws if the client is closed. */
function close(client: object): void {
  try {
    if ("destroy" in client && typeof client.destroy === "function") {
      Promise.resolve(client.destroy()).catch(() => undefined);
    } else if ("disconnect" in client && typeof client.disconnect === "function") client.disconnect();
  } catch {
    // It was closed before.
  }
}
