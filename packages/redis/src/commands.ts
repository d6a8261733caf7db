import { randomFillSync } from "node:crypto";
import { StoreError, type StoreOperation } from "@tenure/core";
import { batched, withDeadline } from "@tenure/core/store";
import type { Script, StoreClient } from "./client.ts";
import { NONCE } from "./layout.ts";
import type { RunDurably } from "./replicas.ts";
import { Code } from "./scripts.ts";
import { serverClock } from "./server-clock.ts";

/**
 * How calls become commands: the calls of one turn of the event loop leave together, in as few commands as their kinds and slots allow,
 * each with a deadline. Calls on one key keep their order. Every method rejects with a `StoreError` only.
 */
export interface Commands {
  /** Reads the value of a key by MGET. */
  read(operation: "read" | "listUser" | "scan"): (key: string) => Promise<unknown>;
  /** Runs a script on a key. Make the function once: its calls share commands with each other. */
  script(operation: StoreOperation, script: Script, options?: ScriptOptions): RunScript;
  /** Waits for anything else that the client does. */
  send<Result>(operation: StoreOperation, command: () => Promise<Result>): Promise<Result>;
  /** Waits for each of the client's pages. */
  pages<Page>(operation: StoreOperation, open: () => AsyncIterable<Page>): AsyncIterable<Page>;
  /** Whether two keys are on one server, and so are judged by one clock. */
  shareClock(key: string, other: string): boolean;
  /** Resolves once the clock of the server that has a key is past an instant that it has reported. */
  pastInstant(operation: StoreOperation, key: string, instant: number): Promise<void>;
}

/**
 * @param args those of the key
 * @param startedAt when the call began that this command is the second of, by `performance.now()`. Its deadline is two timeouts after that
 *   at most
 * @returns what the script answers the key with
 */
export type RunScript = (key: string, args: readonly string[], startedAt?: number) => Promise<unknown>;

export interface ScriptOptions {
  /** The arguments that all keys share. */
  readonly shared?: readonly string[];
  /** Wait for replicas, if the store is to. */
  readonly isDurable?: boolean;
}

export interface CommandsOptions {
  /** How long a command may take, milliseconds. */
  readonly timeout: number;
  /** Absent: the store does not wait for replicas. */
  readonly runDurably: RunDurably | undefined;
  /** Called once, at the first reply. */
  readonly onFirstReply: () => void;
}

export function commandsOver(client: StoreClient, options: CommandsOptions): Commands {
  const { timeout, runDurably, onFirstReply } = options;
  const clock = serverClock();
  let hasReplied = false;
  const queue = batched<Call, unknown>({
    limit: Number.POSITIVE_INFINITY,
    split: (queued) => intoCommands(queued, (key) => client.groupOf(key)),
    run: runAll,
  });

  return {
    read(operation) {
      const kind = { operation };
      return (key) => queue(new Call(kind, key, NO_ARGS, undefined));
    },

    script(operation, script, { shared = [], isDurable = false } = {}) {
      const kind = { operation, script, shared, isDurable };
      return (key, args, startedAt) => queue(new Call(kind, key, args, startedAt));
    },

    send,

    async *pages<Page>(operation: StoreOperation, open: () => AsyncIterable<Page>) {
      const pages = open()[Symbol.asyncIterator]();
      for (;;) {
        const page = await send(operation, () => pages.next());
        if (page.done) return;
        yield page.value;
      }
    },

    shareClock: (key, other) => client.nodeOf(key) === client.nodeOf(other),

    async pastInstant(operation, key, instant) {
      const wait = clock.timeUntil(client.nodeOf(key), instant + 1);
      if (wait > timeout) {
        throw new StoreError(
          operation,
          "the sessions have ended, but the clock of Redis was set back behind an earlier revokeUser: call again when it has caught up",
        );
      }
      const end = performance.now() + wait;
      if (wait >= 1) await new Promise((resolve) => setTimeout(resolve, wait));
      // A timer counts whole milliseconds, and what is left is mostly less than one.
      while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
    },
  };

  async function runAll(calls: readonly Call[]): Promise<readonly unknown[]> {
    try {
      return await runTogether(calls);
    } catch (error) {
      if (calls.length === 1 || !isDivided(error)) throw error;
      const answers: unknown[] = [];
      // One after the other: ioredis with auto-pipelining (6.0) asks one server for all that leave together, and finds nothing of the other's.
      for (const call of calls) {
        const [answer] = await runTogether([call]).catch((failed: unknown) => [failed]);
        answers.push(answer);
      }
      return answers;
    }
  }

  function runTogether(calls: readonly Call[]): Promise<readonly unknown[]> {
    const { kind } = calls[0] as Call;
    return kind.script ? runScript(kind as ScriptKind, calls) : readAll(kind, calls);
  }

  async function readAll({ operation }: Kind, calls: readonly Call[]): Promise<readonly unknown[]> {
    const keys = calls.map(({ key }) => key);
    const values = await send(operation, () => client.getMany(keys));
    if (Array.isArray(values) && values.length === keys.length) return values;
    throw notAnAnswer(operation);
  }

  /**
   * Gives a script its deadline. If the script finds it passed while the callers still wait, the estimate of the server's clock was
   * wrong: the script has reported the time and changed nothing, and runs once more.
   */
  function runScript(kind: ScriptKind, calls: readonly Call[]): Promise<readonly unknown[]> {
    const { operation, script, shared, isDurable } = kind;
    const keys = calls.map(({ key }) => key);
    const node = client.nodeOf(keys[0] as string);
    const now = performance.now();
    const startedAt = calls.reduce((earliest, call) => Math.min(earliest, call.startedAt ?? now), now);
    const until = Math.min(now, startedAt + timeout) + timeout;
    return send(operation, async () => {
      for (let attempts = 0; attempts < 2; attempts += 1) {
        const deadline = clock.deadline(node, until);
        const args = [deadline ?? "0", newNonce(), ...shared];
        for (const call of calls) args.push(...call.args);
        // Without a deadline, the script only learns the time.
        const reply = await (isDurable && runDurably !== undefined && deadline !== undefined
          ? runDurably(operation, script, keys, args)
          : client.run(script, keys, args));
        if (!Array.isArray(reply) || !Number.isSafeInteger(Number(reply[0]))) throw notAnAnswer(operation);
        clock.learn(node, Number(reply[0]));
        if (Number(reply[1]) === Code.LATE) continue;
        const answers: readonly unknown[] = reply.slice(1);
        if (answers.length === calls.length) return answers;
        throw notAnAnswer(operation);
      }
      throw new StoreError(operation, "the command reached Redis after its deadline and changed nothing");
    });
  }

  async function send<Result>(operation: StoreOperation, command: () => Promise<Result>): Promise<Result> {
    try {
      const late = () => new StoreError(operation, `Redis did not reply within ${timeout} ms`);
      const result = await withDeadline(command(), timeout, late);
      if (!hasReplied) {
        hasReplied = true;
        onFirstReply();
      }
      return result;
    } catch (error) {
      throw failure(operation, error);
    }
  }
}

/** Keys in one command. With 64 keys of 900 bytes, the server takes 0.1 ms for MGET, and 0.2 ms for touches. */
const MAX_KEYS = 64;
/**
 * Characters of the arguments of one command, unless it has one key. The server takes 0.2 ms to save 16 sessions of 900 bytes. Shorter
 * commands also let it work while the client reads the reply to the one before.
 */
const MAX_LENGTH = 16 * 1024;

class Call {
  readonly kind: Kind;
  readonly key: string;
  readonly args: readonly string[];
  readonly startedAt: number | undefined;

  constructor(kind: Kind, key: string, args: readonly string[], startedAt: number | undefined) {
    this.kind = kind;
    this.key = key;
    this.args = args;
    this.startedAt = startedAt;
  }
}

const NO_ARGS: readonly string[] = [];

/** Calls of one kind may share a command. */
interface Kind {
  readonly operation: StoreOperation;
  /** Absent: it reads. */
  readonly script?: Script;
}

interface ScriptKind extends Kind {
  readonly script: Script;
  readonly shared: readonly string[];
  readonly isDurable: boolean;
}

/**
 * Splits calls into commands. Calls on one key keep their order, because a server runs the commands of a connection in order: where a
 * call cannot share the command of those before it on its key, it and what follows come after all those. Only reads may have a key twice.
 */
function intoCommands<One extends { readonly call: Call }>(
  queued: readonly One[],
  groupOf: (key: string) => string,
): One[][] {
  const commands: One[][] = [];
  const open = new Map<Kind, Map<string, Open<One>>>();
  const kinds = new Map<string, Kind>();
  const areReads = queued.every(({ call }) => call.kind === queued[0]!.call.kind && !call.kind.script);
  for (const one of queued) {
    const { kind, key, args } = one.call;
    if (!areReads) {
      const before = kinds.get(key);
      if (before !== undefined && (before !== kind || kind.script)) {
        open.clear();
        kinds.clear();
      }
      kinds.set(key, kind);
    }
    let groups = open.get(kind);
    if (groups === undefined) open.set(kind, (groups = new Map()));
    const length = args.reduce((sum, arg) => sum + arg.length, 0);
    const name = groupOf(key);
    const last = groups.get(name);
    if (last && last.command.length < MAX_KEYS && last.length + length <= MAX_LENGTH) {
      last.command.push(one);
      last.length += length;
    } else {
      const command = [one];
      commands.push(command);
      groups.set(name, { command, length });
    }
  }
  return commands;
}

interface Open<One> {
  readonly command: One[];
  length: number;
}

/** Names one command. */
function newNonce(): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  used += NONCE_BYTES;
  return random.toString("base64url", used - NONCE_BYTES, used);
}

const NONCE_BYTES = (NONCE * 3) / 4;
const random = Buffer.alloc(NONCE_BYTES * 256);
let used = random.length;

/**
 * While a slot moves, its keys are on two servers, which refuse a command that has keys of both. A client tries it again for a while; ioredis
 * then says "Too many Cluster redirections".
 */
function isDivided(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof Error && /^(?:TRYAGAIN|Too many Cluster redirections)/.test(cause.message);
}

export function notAnAnswer(operation: StoreOperation): StoreError {
  return new StoreError(operation, "Redis returned something that is not a reply to the command");
}

/**
 * An error of a client may hold the command, and one of the server may quote it: with all that was to be stored. So the cause
 * is made again from what is safe to log.
 */
function failure(operation: StoreOperation, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { name, message, code } =
    error instanceof Error
      ? (error as NodeJS.ErrnoException)
      : { name: "Error", message: typeof error, code: undefined };
  const safe = message.replace(/,? with args beginning with.*/s, "");
  const cause = Object.assign(new Error(safe), { name }, code === undefined ? {} : { code });
  return new StoreError(operation, `Redis failed or refused: ${safe}`, { cause });
}
