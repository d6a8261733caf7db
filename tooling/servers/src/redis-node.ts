import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { container } from "./container.ts";
import { imageCommand } from "./docker.ts";
import { localProcess } from "./local-process.ts";
import type { Machine } from "./machine.ts";
import { type OwnServer, startOwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { runFolder } from "./run.ts";
import type { UsableWay } from "./way-to.ts";

/** Nothing on disk unless a test asks for it. */
export const WITHOUT_PERSISTENCE: readonly string[] = ["--save", "", "--appendonly", "no"];

/**
 * Starts one Redis process that listens on 127.0.0.1 and that others like it reach there by the same port: a binary, or
 * a container on the host's network.
 */
export async function startRedisNode(way: UsableWay, args: readonly string[]): Promise<OwnServer> {
  const port = await freePort();
  const loopback = ["--port", String(port), "--bind", "127.0.0.1", ...args];
  let machine: Machine;
  if (way.by === "container") {
    const [server = "redis-server"] = await imageCommand(way.image);
    machine = container({ image: way.image, command: [server, ...loopback], network: "host" });
  } else {
    const folder = nodeFolder(port);
    machine = redisProcess(way.command, [...loopback, "--dir", folder], folder);
  }
  return startRedisMachine(machine, port, way);
}

/** Starts a Sentinel with this configuration, a `redis-server` that rewrites the file it is given. */
export async function startSentinelNode(way: UsableWay, directives: readonly string[]): Promise<OwnServer> {
  const port = await freePort();
  const lines = [`port ${port}`, "bind 127.0.0.1", ...directives, ""].join("\n");
  let machine: Machine;
  if (way.by === "container") {
    const [server = "redis-server"] = await imageCommand(way.image);
    const script = `printf '%s' "$1" > /tmp/sentinel.conf && exec "$0" /tmp/sentinel.conf --sentinel`;
    machine = container({ image: way.image, command: ["sh", "-c", script, server, lines], network: "host" });
  } else {
    const folder = nodeFolder(port);
    const file = join(folder, "sentinel.conf");
    writeFileSync(file, lines);
    machine = redisProcess(way.command, [file, "--sentinel", "--dir", folder], folder);
  }
  return startRedisMachine(machine, port, way);
}

/** Starts a planned Redis that clients reach at this port, and waits until it answers. */
export async function startRedisMachine(machine: Machine, port: number, way: UsableWay): Promise<OwnServer> {
  return startOwnServer({
    machine,
    url: `redis://127.0.0.1:${port}`,
    port,
    how: way.by === "container" ? `container ${way.image}` : `${way.command} on PATH`,
    stopSignal: "SIGTERM",
    answers: () => ping(port),
  });
}

function nodeFolder(port: number): string {
  const folder = join(runFolder(), `redis-${port}`);
  mkdirSync(folder);
  return folder;
}

function redisProcess(command: string, args: readonly string[], folder: string): Machine {
  return localProcess({ command, args, log: join(folder, "log"), abandon: "SIGKILL" });
}

/** Without a client library: a server that asks for a password, or is still LOADING, is told from its first answer. */
async function ping(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(2000, () => socket.destroy(new Error("It did not answer PING.")));
  socket.write("PING\r\n");
  // Docker's own proxy takes a connection before the server listens, and closes it in silence: then there is no answer.
  for await (const answer of socket) {
    const text = String(answer);
    if (text.startsWith("+PONG") || text.startsWith("-NOAUTH")) return;
    throw new Error(text);
  }
  throw new Error("It closed the connection.");
}
