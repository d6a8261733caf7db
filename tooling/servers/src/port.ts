import { randomInt } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * Returns a port of 127.0.0.1 on which nothing listens and which this process has not returned before,
 * because a stopped server may be started on its port again. It is below the ports of outgoing connections
 * (Linux: from 32768), which could take it first.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    if (given.has(port)) continue;
    given.add(port);
    await using probe = createServer().listen(port, "127.0.0.1");
    const free = await once(probe, "listening").catch(() => undefined);
    if (free !== undefined) return port;
  }
}

const given = new Set<number>();

export async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
