import { randomInt } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * A port of 127.0.0.1 that nobody listens on, and that this process was not given before: a server that is down may come
 * back to its own. Below the ports that systems give to outgoing connections (Linux from 32768), which could take it meanwhile.
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

/** Whether a port of 127.0.0.1 accepts connections. */
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
