import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Dialogue, Piece } from "./wire/dialogue.ts";
import { mongoDialogue } from "./wire/mongo.ts";
import { postgresDialogue } from "./wire/postgres.ts";
import { redisDialogue } from "./wire/redis.ts";

/** A way to a server on the loopback that breaks where a test wants it. It speaks the server's protocol, and no TLS. */
export interface FaultyProxy extends AsyncDisposable {
  /** The target's address, by way of this proxy. It stays the same over {@link refuse} and {@link accept}. */
  readonly url: string;
  readonly port: number;
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
  const lines = new Set<Line>();
  const plans = new Set<Plan>();
  let commands = 0;
  let delay = 0;
  let silent = false;

  const proxy = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: address.hostname, port: Number(address.port), noDelay: true });
    const line: Line = { client, server, state: silent ? "silence" : "open" };
    lines.add(line);
    join(line);
  });

  /** Joins both ends, whole piece by whole piece. */
  function join(line: Line): void {
    const { client, server } = line;
    const talk = dialogue!();
    const replies = inOrder();
    pieces(
      line,
      client,
      server,
      (bytes) => talk.fromClient(bytes),
      (bytes, command) => {
        if (command !== undefined) commands += 1;
        passOrStrike(line, "command", bytes, command);
      },
    );
    pieces(
      line,
      server,
      client,
      (bytes) => talk.fromServer(bytes),
      (bytes, command) => {
        replies(delay, () => passOrStrike(line, "reply", bytes, command));
      },
    );
    client.on("close", () => server.destroyed && lines.delete(line));
    server.on("close", () => client.destroyed && lines.delete(line));
  }

  function passOrStrike(line: Line, on: Fault["on"], bytes: Buffer, command: Buffer | undefined): void {
    if (line.state !== "open") return;
    const [from, to] = on === "command" ? [line.client, line.server] : [line.server, line.client];
    // Every plan counts what passes, also beside one that strikes now.
    const met = command === undefined ? [] : [...plans].filter((one) => one.meets(on, command));
    const [plan] = met;
    if (plan === undefined) {
      to.write(bytes);
      return;
    }
    plans.delete(plan);
    const { pass = false, by = "cut" } = plan.fault;
    line.state = by;
    if (by === "silence") {
      if (pass) to.write(bytes);
      return;
    }
    from.destroy();
    if (pass) to.end(bytes);
    else to.destroy();
  }

  const cut = (): void => {
    silent = false;
    for (const line of lines) {
      line.state = "cut";
      line.client.destroy();
      line.server.destroy();
    }
    lines.clear();
  };
  const refuse = async (): Promise<void> => {
    const closed = proxy.listening ? once(proxy, "close") : undefined;
    proxy.close();
    cut();
    await closed;
  };

  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const here = new URL(target);
  here.hostname = "127.0.0.1";
  here.port = String(port);

  return {
    url: here.href,
    port,
    get commands() {
      return commands;
    },
    plan(fault) {
      const plan = planned(fault);
      plans.add(plan);
      return {
        get struck() {
          return plan.struck;
        },
        cancel: () => void plans.delete(plan),
      };
    },
    delayReplies(ms) {
      delay = ms;
    },
    cut,
    refuse,
    async accept() {
      proxy.listen(port, "127.0.0.1");
      await once(proxy, "listening");
    },
    silence() {
      silent = true;
      for (const line of lines) line.state = "silence";
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
  /** What comes once it is `cut`, or in `silence`, is dropped. */
  state: "open" | "cut" | "silence";
}

interface Plan {
  readonly fault: Fault;
  readonly struck: boolean;
  /** Counts what passes, and says yes to the nth. */
  meets(on: Fault["on"], command: Buffer): boolean;
}

function planned(fault: Fault): Plan {
  let left = fault.nth ?? 1;
  return {
    fault,
    get struck() {
      return left === 0;
    },
    meets(on, command) {
      if (on !== fault.on || fault.which?.(command) === false) return false;
      left -= 1;
      return left === 0;
    },
  };
}

/** Reads one end, calls `take` with each whole piece, and passes on that the end was closed. */
function pieces(
  line: Line,
  from: Socket,
  to: Socket,
  next: (bytes: Buffer) => Piece | undefined,
  take: (bytes: Buffer, command: Buffer | undefined) => void,
): void {
  let rest = Buffer.alloc(0);
  from.on("data", (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let piece = next(rest); piece !== undefined; piece = next(rest)) {
      const bytes = rest.subarray(0, piece.length);
      rest = rest.subarray(piece.length);
      take(bytes, piece.command);
    }
  });
  from.on("end", () => {
    if (line.state !== "open") return;
    // A server that ends a connection may say why in a message that is no whole reply.
    if (rest.length > 0) to.write(rest);
    to.end();
  });
  from.on("error", () => {
    if (line.state === "open") to.destroy();
  });
  from.on("close", () => {
    if (line.state === "open") to.end();
  });
}

/** Does things later, each after the one before it, whatever the delays. */
function inOrder(): (delay: number, act: () => void) => void {
  const waiting: { readonly at: number; readonly act: () => void }[] = [];
  const run = (): void => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const left = first.at - performance.now();
      if (left > 0) {
        setTimeout(run, left).unref();
        return;
      }
      waiting.shift();
      first.act();
    }
  };
  return (delay, act) => {
    if (delay === 0 && waiting.length === 0) {
      act();
      return;
    }
    waiting.push({ at: performance.now() + delay, act });
    if (waiting.length === 1) run();
  };
}
