import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { container, type ContainerOptions, imageCommand } from "./container.ts";
import { localProcess } from "./local-process.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { folderOfRun } from "./run.ts";
import { type UsableWay, wayTo } from "./way.ts";

export interface RedisOptions {
  /** Arguments for `redis-server`, after the usual ones: `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
}

/** Starts a Redis (or Valkey) of one's own: standalone, without persistence, empty. */
export async function startRedis({ args = [] }: RedisOptions = {}): Promise<OwnServer> {
  const port = await freePort();
  return startNode(await wayTo("redis"), port, { from: port, to: port }, nodeArgs(port, args));
}

/** Starts a Redis that reaches others like it on 127.0.0.1, and is reached by them. */
export async function startRedisNode(way: UsableWay, args: readonly string[]): Promise<OwnServer> {
  const port = await freePort();
  return startNode(way, port, "host", nodeArgs(port, args));
}

/** Starts a Sentinel with this configuration, a `redis-server` that rewrites the file that it is given. */
export async function startSentinelNode(way: UsableWay, directives: readonly string[]): Promise<OwnServer> {
  const port = await freePort();
  return startNode(way, port, "host", [`port ${port}`, "bind 127.0.0.1", ...directives, ""].join("\n"));
}

/** What a Redis says it is: `Redis 8.2.1`, `Valkey 9.1.0`. */
export async function describeRedis(url: string): Promise<string> {
  const info = await askRedis<string>(url, "INFO", "server");
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
  return valkey === undefined ? `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1]}` : `Valkey ${valkey}`;
}

/** The reply to one command, on a connection of its own. */
export async function askRedis<Reply>(url: string, command: string, ...args: string[]): Promise<Reply> {
  const { Redis } = await import("ioredis");
  const client = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    connectTimeout: 5000,
    commandTimeout: 5000,
  });
  client.on("error", () => undefined);
  try {
    return (await client.call(command, ...args)) as Reply;
  } finally {
    client.disconnect();
  }
}

/** Nothing is on disk unless a test asks for it. */
function nodeArgs(port: number, args: readonly string[]): string[] {
  return ["--port", String(port), "--save", "", "--appendonly", "no", ...args];
}

/** Starts a `redis-server` with these arguments, or a Sentinel with this file. */
async function startNode(
  way: UsableWay,
  port: number,
  network: ContainerOptions["network"],
  plan: readonly string[] | string,
): Promise<OwnServer> {
  // A container of its own network is reached from outside.
  const bind = "image" in way && network !== "host" ? [] : ["--bind", "127.0.0.1"];
  let machine;
  if ("image" in way) {
    const [server = "redis-server"] = await imageCommand(way.image);
    const script = `printf '%s' "$1" > /tmp/sentinel.conf && exec "$0" /tmp/sentinel.conf --sentinel`;
    const command =
      typeof plan === "string" ? ["sh", "-c", script, server, plan] : [server, ...bind, ...plan];
    machine = container({ image: way.image, command, network });
  } else {
    const folder = folderOfRun(`redis-${port}`);
    const file = join(folder, "sentinel.conf");
    if (typeof plan === "string") writeFileSync(file, plan);
    const args = typeof plan === "string" ? [file, "--sentinel"] : [...bind, ...plan];
    machine = localProcess({ command: way.command, args: [...args, "--dir", folder], folder });
  }
  return startOwnServer({ machine, way, port, url: `redis://127.0.0.1:${port}`, answers: () => ping(port) });
}

/** A server that is still LOADING does not answer yet. One that asks for a password does. */
async function ping(port: number): Promise<void> {
  await askRedis(`redis://127.0.0.1:${port}`, "PING").catch((error: unknown) => {
    if (!String(error).includes("NOAUTH")) throw error;
  });
}
