import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Dialogue, Piece } from "./wire/dialogue.ts";
import { mongoDialogue } from "./wire/mongo.ts";
import { postgresDialogue } from "./wire/postgres.ts";
import { redisDialogue } from "./wire/redis.ts";

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
  /** Whether the nth piece still passes before the connection ends. Default false: it is lost. */
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
  const dialogue = DIALOGUES[address.protocol];
  if (dialogue === undefined)
    throw new TypeError(
      `Unknown protocol ${address.protocol}. Known protocols: ${Object.keys(DIALOGUES).join(" ")}.`,
    );
  const lines: Line[] = [];
  const plans = new Set<Plan>();
  let commands = 0;
  let delay = 0;
  let silent = false;

  const proxy = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: address.hostname, port: Number(address.port), noDelay: true });
    const line: Line = { client, server, silent };
    lines.push(line);
    const talk = dialogue();
    relay(line, client, server, talk.fromClient, (bytes, command) => {
      if (command !== undefined) commands += 1;
      passOrStrike(line, "command", bytes, command);
    });
    let replies: Promise<unknown> = Promise.resolve();
    relay(line, server, client, talk.fromServer, (bytes, command) => {
      // After the previous reply, whatever the delays.
      const due = delay === 0 ? undefined : sleep(delay, undefined, { ref: false });
      replies = Promise.all([replies, due]).then(() => passOrStrike(line, "reply", bytes, command));
    });
  });

  function passOrStrike(line: Line, on: Fault["on"], bytes: Buffer, command: Buffer | undefined): void {
    const [from, to] = on === "command" ? [line.client, line.server] : [line.server, line.client];
    if (line.silent || from.destroyed) return;
    // Every plan counts this piece, even if another plan strikes now.
    const [plan] = command === undefined ? [] : [...plans].filter((one) => meets(one, on, command));
    if (plan === undefined) {
      to.write(bytes);
      return;
    }
    plans.delete(plan);
    const { pass = false, by = "cut" } = plan.fault;
    if (pass) to.write(bytes);
    if (by === "silence") {
      line.silent = true;
      return;
    }
    from.destroy();
    if (pass) to.end();
    else to.destroy();
  }

  const cut = (): void => {
    silent = false;
    for (const { client, server } of lines.splice(0)) {
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
      for (const line of lines) line.silent = true;
    },
    freeze() {
      for (const { client, server } of lines) {
        client.pause();
        server.pause();
      }
    },
    [Symbol.asyncDispose]: refuse,
  };
}

const DIALOGUES: Record<string, () => Dialogue> = {
  "redis:": redisDialogue,
  "postgres:": postgresDialogue,
  "postgresql:": postgresDialogue,
  "mongodb:": mongoDialogue,
};

/** A client's connection, and the connection to the server that continues it. */
interface Line {
  readonly client: Socket;
  readonly server: Socket;
  /** Whether incoming data are dropped. */
  silent: boolean;
}

interface Plan {
  readonly fault: Fault;
  /** How many pieces remain until it strikes, including the one that it strikes. 0: it has struck. */
  left: number;
}

/** Counts a piece that matches a plan, and returns whether it is the nth. */
function meets(plan: Plan, on: Fault["on"], command: Buffer): boolean {
  if (on !== plan.fault.on || plan.fault.which?.(command) === false) return false;
  plan.left -= 1;
  return plan.left === 0;
}

/** Reads from one end, calls `take` with each whole piece, and passes on the end of the connection. */
function relay(
  line: Line,
  from: Socket,
  to: Socket,
  next: (bytes: Buffer) => Piece | undefined,
  take: (bytes: Buffer, command: Buffer | undefined) => void,
): void {
  let rest = Buffer.alloc(0);
  from.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let piece = next(rest); piece !== undefined; piece = next(rest)) {
      const bytes = rest.subarray(0, piece.length);
      rest = rest.subarray(piece.length);
      take(bytes, piece.command);
    }
  });
  from.on("end", () => {
    // A server that ends a connection may give the reason in a message that is not a whole reply.
    if (!line.silent) to.end(rest);
  });
  from.on("error", () => {
    if (!line.silent) to.destroy();
  });
  from.on("close", () => {
    if (!line.silent) to.end();
  });
}
