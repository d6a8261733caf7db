import { imageCommand } from "./container.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { sourceOf, type UsableSource } from "./source.ts";

export interface RedisOptions {
  /** Arguments for `redis-server`, after the usual ones: `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
}

/** Starts a Redis (or Valkey) for one test file: standalone, without persistence, empty. */
export async function startRedis({ args = [] }: RedisOptions = {}): Promise<OwnServer> {
  return start(await sourceOf("redis"), "own", [...NOTHING_ON_DISK, ...args]);
}

/** Starts a Redis that can connect to others like it on 127.0.0.1, and they to it. */
export async function startRedisNode(source: UsableSource, args: readonly string[]): Promise<OwnServer> {
  return start(source, "host", [...NOTHING_ON_DISK, ...args]);
}

export async function startSentinelNode(source: UsableSource): Promise<OwnServer> {
  // A Sentinel keeps its state in a configuration file, and does not start without one.
  const inShell = ["sh", "-c", `: >sentinel.conf && exec "$0" sentinel.conf "$@"`];
  return start(source, "host", ["--sentinel"], inShell);
}

/** Returns a server's name and version: `Redis 8.2.1`, `Valkey 9.1.0`. */
export async function describeRedis(url: string): Promise<string> {
  const info = await callRedis<string>(url, "INFO", "server");
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
  return valkey === undefined ? `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1]}` : `Valkey ${valkey}`;
}

/** Sends one command on its own connection and returns the reply. */
export async function callRedis<Reply>(url: string, command: string, ...args: string[]): Promise<Reply> {
  const { Redis } = await import("ioredis");
  const client = new Redis(url, {
    enableReadyCheck: false,
    retryStrategy: () => null,
    commandTimeout: 5000,
  });
  client.on("error", () => undefined);
  try {
    return (await client.call(command, ...args)) as Reply;
  } finally {
    client.disconnect();
  }
}

const NOTHING_ON_DISK = ["--save", "", "--appendonly", "no"];

async function start(
  source: UsableSource,
  network: "own" | "host",
  args: readonly string[],
  inShell: readonly string[] = [],
): Promise<OwnServer> {
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const program =
    "command" in source ? source.command : ((await imageCommand(source.image))[0] ?? "redis-server");
  // A container with its own network must accept connections from outside of it.
  const bind = "image" in source && network === "own" ? [] : ["--bind", "127.0.0.1"];
  const command = [...inShell, program, "--port", String(port), ...bind, ...args];
  return startOwnServer({
    source,
    url,
    port,
    container: { command, inside: network === "own" ? port : "host" },
    local: () => ({ command }),
    probe: () => ping(url),
  });
}

/** A server that is still LOADING is not ready. One that asks for a password is. */
async function ping(url: string): Promise<void> {
  await callRedis(url, "PING").catch((error: unknown) => {
    if (!String(error).includes("NOAUTH")) throw error;
  });
}
