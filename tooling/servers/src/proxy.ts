import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Dialogue, Piece } from "./wire/dialogue.ts";
import { mongoDialogue } from "./wire/mongo.ts";
import { postgresDialogue } from "./wire/postgres.ts";
import { redisDialogue } from "./wire/redis.ts";

/** A way to a server on the loopback that breaks where a test wants it. It speaks the server's protocol, and no TLS. */
export interface FaultyProxy extends AsyncDisposable {
  /** The target's address, by way of this proxy. It stays the same over {@link refuse} and {@link accept}. */
  readonly url: string;
  /** The commands that clients sent, all connections together, without what client libraries send on their own account. */
  readonly commands: number;
  /** Plans one fault, counted from now over all connections. It strikes once; until then and afterwards all passes. */
  plan(fault: Fault): PlannedFault;
  /** Holds every reply back for this long; 0: no longer. */
  delayReplies(ms: number): void;
  /** Cuts every connection, now. New ones are welcome. */
  cut(): void;
  /** Cuts every connection and refuses new ones, as where nothing listens. */
  refuse(): Promise<void>;
  /** Ends {@link refuse}. */
  accept(): Promise<void>;
  /** From now on connections stay open, new ones too, and nothing passes: until {@link cut} or {@link refuse}. */
  silence(): void;
  /** From now on nothing more is read from the connections that there are, as from a process that is stopped: until {@link cut}. */
  freeze(): void;
}

export interface Fault {
  /**
   * `command`: as the nth command arrives. `reply`: as the reply to it does: the server has executed it.
   */
  readonly on: "command" | "reply";
  /** 1 (what comes next) unless told. */
  readonly nth?: number;
  /** Count only the commands, or the replies to those, that this says yes to; it sees the command as it is on the wire. */
  readonly which?: (command: Buffer) => boolean;
  /** Whether the nth still passes, before the connection ends. False unless told: it is lost. */
  readonly pass?: boolean;
  /** What becomes of the connection: it is `cut` (unless told otherwise), or stays open in `silence`. */
  readonly by?: "cut" | "silence";
}

export interface PlannedFault {
  /** Whether it has struck. */
  readonly struck: boolean;
  cancel(): void;
}

/** Opens a proxy before a server. The scheme of the address (`redis:`, `postgres:`, `mongodb:`) says what it speaks. */
export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const address = new URL(target);
  const dialogue = DIALOGUES[address.protocol];
  if (dialogue === undefined)
    throw new TypeError(
      `No proxy speaks ${address.protocol}//: it knows ${Object.keys(DIALOGUES).join(" ")}.`,
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
      // After the one before it, whatever the delays.
      const due = delay === 0 ? undefined : sleep(delay, undefined, { ref: false });
      replies = Promise.all([replies, due]).then(() => passOrStrike(line, "reply", bytes, command));
    });
  });

  function passOrStrike(line: Line, on: Fault["on"], bytes: Buffer, command: Buffer | undefined): void {
    const [from, to] = on === "command" ? [line.client, line.server] : [line.server, line.client];
    if (line.silent || from.destroyed) return;
    // Every plan counts what passes, also beside one that strikes now.
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

/** A connection of a client, and the one to the server that carries it on. */
interface Line {
  readonly client: Socket;
  readonly server: Socket;
  /** Whether what comes is dropped. */
  silent: boolean;
}

interface Plan {
  readonly fault: Fault;
  /** How many must still pass until it strikes, with the one that it strikes; 0: it has. */
  left: number;
}

/** Counts what passes, and says yes to the nth. */
function meets(plan: Plan, on: Fault["on"], command: Buffer): boolean {
  if (on !== plan.fault.on || plan.fault.which?.(command) === false) return false;
  plan.left -= 1;
  return plan.left === 0;
}

/** Reads one end, calls `take` with each whole piece, and passes on that the end was closed. */
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
    // A server that ends a connection may say why in a message that is no whole reply.
    if (!line.silent) to.end(rest);
  });
  from.on("error", () => {
    if (!line.silent) to.destroy();
  });
  from.on("close", () => {
    if (!line.silent) to.end();
  });
}
