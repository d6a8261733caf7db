import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Frame, Protocol } from "./wire/protocol.ts";
import { mongoProtocol } from "./wire/mongo.ts";
import { postgresProtocol } from "./wire/postgres.ts";
import { redisProtocol } from "./wire/redis.ts";

/**
 * A proxy to a server on the loopback that breaks connections where a test chooses. It speaks the server's
 * protocol, without TLS.
 */
export interface FaultyProxy extends AsyncDisposable {
  /**
   * The target's address with this proxy's host and port. {@link refuse} and {@link accept} do not change it.
   */
  readonly url: string;
  /**
   * How many commands clients have sent on all connections, without those that client libraries send by
   * themselves.
   */
  readonly commands: number;
  /** Plans one fault, counted from now over all connections. It strikes once; all other traffic passes. */
  plan(fault: Fault): PlannedFault;
  /** Delays every reply by this long. 0 ends the delay. */
  delayReplies(ms: number): void;
  /** Cuts every connection now. New connections are accepted. */
  cut(): void;
  /** Cuts every connection and refuses new ones, as if nothing listened. */
  refuse(): Promise<void>;
  /** Ends {@link refuse}. */
  accept(): Promise<void>;
  /**
   * Until {@link cut} or {@link refuse}, connections stay open and new ones are accepted, but nothing passes.
   */
  silence(): void;
  /**
   * Until {@link cut}, nothing is read from the present connections, as if the server's process were stopped.
   */
  freeze(): void;
}

export interface Fault {
  /**
   * `command`: when the nth command arrives. `reply`: when the reply to it arrives, so that the server has
   * executed it.
   */
  readonly on: "command" | "reply";
  /** Default 1: the next one. */
  readonly nth?: number;
  /**
   * Counts only commands for which this returns true, or the replies to them. It gets the bytes of the
   * command on the wire.
   */
  readonly which?: (command: Buffer) => boolean;
  /** Whether the nth command or reply still passes before the connection ends. Default false: it is lost. */
  readonly pass?: boolean;
  /** What happens to the connection: it is `cut` (default), or stays open in `silence`. */
  readonly by?: "cut" | "silence";
}

export interface PlannedFault {
  /** Whether it has struck. */
  readonly struck: boolean;
  cancel(): void;
}

/**
 * Opens a proxy in front of a server. The scheme of the address (`redis:`, `postgres:`, `mongodb:`) chooses
 * the protocol.
 */
export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const address = new URL(target);
  const newProtocol = PROTOCOLS[address.protocol];
  if (newProtocol === undefined)
    throw new TypeError(
      `Unknown protocol ${address.protocol}. Known protocols: ${Object.keys(PROTOCOLS).join(" ")}.`,
    );
  const connections: Connection[] = [];
  const plans = new Set<Plan>();
  let commands = 0;
  let delay = 0;
  let silent = false;

  const proxy = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: address.hostname, port: Number(address.port), noDelay: true });
    const connection: Connection = { client, server, silent };
    connections.push(connection);
    const protocol = newProtocol();
    relay(connection, client, server, protocol.fromClient, (bytes, command) => {
      if (command !== undefined) commands += 1;
      passOrStrike(connection, "command", bytes, command);
    });
    let replies: Promise<unknown> = Promise.resolve();
    relay(connection, server, client, protocol.fromServer, (bytes, command) => {
      // Replies stay in order, whatever their delays.
      const due = delay === 0 ? undefined : sleep(delay, undefined, { ref: false });
      replies = Promise.all([replies, due]).then(() => passOrStrike(connection, "reply", bytes, command));
    });
  });

  function passOrStrike(
    connection: Connection,
    on: Fault["on"],
    bytes: Buffer,
    command: Buffer | undefined,
  ): void {
    const { client, server } = connection;
    const [from, to] = on === "command" ? [client, server] : [server, client];
    if (connection.silent || from.destroyed) return;
    // Every plan counts this frame, even if another plan strikes now.
    const [plan] = command === undefined ? [] : [...plans].filter((one) => isNth(one, on, command));
    if (plan === undefined) {
      to.write(bytes);
      return;
    }
    plans.delete(plan);
    const { pass = false, by = "cut" } = plan.fault;
    if (pass) to.write(bytes);
    if (by === "silence") {
      connection.silent = true;
      return;
    }
    from.destroy();
    if (pass) to.end();
    else to.destroy();
  }

  const cut = (): void => {
    silent = false;
    for (const { client, server } of connections.splice(0)) {
      client.destroy();
      server.destroy();
    }
  };
  const listen = async (port: number): Promise<void> => {
    proxy.listen(port, "127.0.0.1");
    await once(proxy, "listening");
  };
  const refuse = async (): Promise<void> => {
    const closed = proxy.listening ? once(proxy, "close") : undefined;
    proxy.close();
    cut();
    await closed;
  };

  await listen(0);
  const { port } = proxy.address() as AddressInfo;
  const here = new URL(target);
  here.hostname = "127.0.0.1";
  here.port = String(port);

  return {
    url: here.href,
    get commands() {
      return commands;
    },
    plan(fault) {
      const plan: Plan = { fault, left: fault.nth ?? 1 };
      plans.add(plan);
      return {
        get struck() {
          return plan.left === 0;
        },
        cancel: () => void plans.delete(plan),
      };
    },
    delayReplies(ms) {
      delay = ms;
    },
    cut,
    refuse,
    accept: () => listen(port),
    silence() {
      silent = true;
      for (const connection of connections) connection.silent = true;
    },
    freeze() {
      for (const { client, server } of connections) {
        client.pause();
        server.pause();
      }
    },
    [Symbol.asyncDispose]: refuse,
  };
}

const PROTOCOLS: Record<string, () => Protocol> = {
  "redis:": redisProtocol,
  "postgres:": postgresProtocol,
  "postgresql:": postgresProtocol,
  "mongodb:": mongoProtocol,
};

/** A client's connection, and the connection to the server that continues it. */
interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  /** Whether incoming data are dropped. */
  silent: boolean;
}

interface Plan {
  readonly fault: Fault;
  /** How many matching frames remain until it strikes, including the one that it strikes. 0: it has struck. */
  left: number;
}

/** Counts a frame that matches a plan, and returns whether it is the nth. */
function isNth(plan: Plan, on: Fault["on"], command: Buffer): boolean {
  if (on !== plan.fault.on || plan.fault.which?.(command) === false) return false;
  plan.left -= 1;
  return plan.left === 0;
}

/** Reads from one end, calls `take` with each complete frame, and passes on the end of the connection. */
function relay(
  connection: Connection,
  from: Socket,
  to: Socket,
  next: (bytes: Buffer) => Frame | undefined,
  take: (bytes: Buffer, command: Buffer | undefined) => void,
): void {
  let rest = Buffer.alloc(0);
  from.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let frame = next(rest); frame !== undefined; frame = next(rest)) {
      const bytes = rest.subarray(0, frame.length);
      rest = rest.subarray(frame.length);
      take(bytes, frame.command);
    }
  });
  from.on("end", () => {
    // A server that ends a connection may give the reason in a message that is not a complete reply.
    if (!connection.silent) to.end(rest);
  });
  from.on("error", () => {
    if (!connection.silent) to.destroy();
  });
  from.on("close", () => {
    if (!connection.silent) to.end();
  });
}
