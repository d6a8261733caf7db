import { randomFillSync } from "node:crypto";
import { StoreError, type StoreOperation } from "@tenure/core";
import { batched, monotonic, withDeadline } from "@tenure/core/store";
import type { Script, StoreClient } from "./client.ts";
import { NONCE } from "./layout.ts";
import type { RunDurably } from "./replicas.ts";
import { Code } from "./scripts.ts";
import type { ServerClock } from "./server-clock.ts";

/**
 * Turns calls into commands. The calls of one turn of the event loop share as few commands as their kinds and
 * slots allow, each with a deadline. Calls on one key are sent in order, except those that wait for replicas.
 * Methods reject only with a `StoreError`.
 */
export interface Commands {
  /** Returns a function that reads a key with MGET. */
  read(operation: "read" | "listUser" | "scan"): (key: string) => Promise<unknown>;
  /** Returns a function that runs a script on a key. Make it once, so that its calls share commands. */
  script(operation: StoreOperation, script: Script, options?: ScriptOptions): RunScript;
  /** Runs any other command of the client. */
  send<Result>(operation: StoreOperation, command: () => Promise<Result>): Promise<Result>;
}

/**
 * @param startedAt for the second command of a call: when the call began, by `monotonic()`. The deadline is
 *   at most two timeouts later
 * @returns the script's result for the key
 */
export type RunScript = (key: string, args: readonly string[], startedAt?: number) => Promise<unknown>;

export interface ScriptOptions {
  /** Arguments that all keys share. */
  readonly shared?: readonly string[];
  /** Wait for replicas, if the store has `waitForReplicas`. */
  readonly isDurable?: boolean;
}

export interface CommandsOptions {
  /** Limit for one command, milliseconds. */
  readonly timeout: number;
  readonly clock: ServerClock;
  /** `undefined`: do not wait for replicas. */
  readonly runDurably: RunDurably | undefined;
  readonly onFirstReply: () => void;
}

export function commandsOver(client: StoreClient, options: CommandsOptions): Commands {
  const { timeout, clock, runDurably, onFirstReply } = options;
  let hasReplied = false;
  const queue = batched<Call, unknown>({
    limit: Number.POSITIVE_INFINITY,
    split: (queued) => intoCommands(queued, client),
    run,
  });

  return {
    read(operation) {
      const kind: Kind = { isRead: true, run: (calls) => readAll(operation, calls) };
      return (key) => queue(new Call(kind, key, NO_ARGS, undefined));
    },

    script(operation, script, scriptOptions = {}) {
      const kind: Kind = {
        isRead: false,
        run: (calls, nonce) => runScript(operation, script, scriptOptions, calls, nonce),
      };
      return (key, args, startedAt) => queue(new Call(kind, key, args, startedAt));
    },

    send,
  };

  async function run(calls: readonly Call[]): Promise<readonly unknown[]> {
    const { kind } = calls[0] as Call;
    // One nonce for all attempts: the reply of an attempt that ran may have been lost.
    const nonce = kind.isRead ? "" : newNonce();
    try {
      return await kind.run(calls, nonce);
    } catch (error) {
      if (calls.length === 1 || !isDivided(error)) throw error;
      const results: unknown[] = [];
      const until = monotonic() + timeout;
      // One at a time: the auto-pipelining of ioredis 6.0 sends concurrent commands to one server, which
      // would report the other server's keys as missing.
      for (const call of calls) {
        const isLate = monotonic() >= until;
        const [result] = isLate
          ? [error]
          : await kind.run([call], nonce).catch((failed: unknown) => [failed]);
        results.push(result);
      }
      return results;
    }
  }

  async function readAll(operation: StoreOperation, calls: readonly Call[]): Promise<readonly unknown[]> {
    const keys = calls.map(({ key }) => key);
    const values = await send(operation, () => client.getMany(keys));
    if (Array.isArray(values) && values.length === keys.length) return values;
    throw notAReply(operation);
  }

  /**
   * Runs a script with a deadline. A script that is past its deadline changes nothing and reports the
   * server's time. If the callers still wait, the estimate of the server's clock was wrong, and the script
   * runs once more.
   */
  function runScript(
    operation: StoreOperation,
    script: Script,
    { shared = NO_ARGS, isDurable = false }: ScriptOptions,
    calls: readonly Call[],
    nonce: string,
  ): Promise<readonly unknown[]> {
    const keys = calls.map(({ key }) => key);
    const node = client.nodeOf(keys[0] as string);
    const now = monotonic();
    const startedAt = calls.reduce((earliest, call) => Math.min(earliest, call.startedAt ?? now), now);
    const until = Math.min(now, startedAt + timeout) + timeout;
    return send(operation, async () => {
      for (let attempts = 0; attempts < 2; attempts += 1) {
        const deadline = clock.deadline(node, until);
        const args = [deadline ?? "0", nonce, ...shared];
        for (const call of calls) args.push(...call.args);
        // Without a deadline the script only reports the time.
        const reply = await (isDurable && runDurably !== undefined && deadline !== undefined
          ? runDurably(operation, script, keys, args)
          : evaluate(script, keys, args));
        if (!Array.isArray(reply) || !Number.isSafeInteger(Number(reply[0]))) throw notAReply(operation);
        clock.learn(node, Number(reply[0]));
        if (Number(reply[1]) === Code.LATE) continue;
        const results: readonly unknown[] = reply.slice(1);
        if (results.length === calls.length) return results;
        throw notAReply(operation);
      }
      throw new StoreError(operation, "the command reached Redis after its deadline");
    });
  }

  async function evaluate(
    { sha, source }: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    try {
      return await client.run("EVALSHA", sha, keys, args);
    } catch (error) {
      // A server loses its scripts on a restart, SCRIPT FLUSH or failover.
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
      return client.run("EVAL", source, keys, args);
    }
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

/** Keys per command. With 64 values of 900 bytes, MGET takes the server 0.1 ms, and touches 0.2 ms. */
const MAX_KEYS = 64;
/**
 * Characters of arguments per command of several keys. Saving 16 sessions of 900 bytes takes the server 0.2
 * ms. Short commands let it work while the client reads the previous reply.
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
  /** Whether it is MGET, which may contain a key twice. */
  readonly isRead: boolean;
  /** Sends one command. Resolves to the result of each call. */
  readonly run: (calls: readonly Call[], nonce: string) => Promise<readonly unknown[]>;
}

/**
 * Splits calls into commands. A server runs the commands of a connection in order, so if a call cannot share
 * the command of an earlier call on its key, it and all later calls start new commands.
 */
function intoCommands<One extends { readonly call: Call }>(
  queued: readonly One[],
  client: StoreClient,
): One[][] {
  const commands: One[][] = [];
  const open = new Map<Kind, Map<string, Open<One>>>();
  const kinds = new Map<string, Kind>();
  const first = queued[0]?.call.kind;
  // Reads need no order among themselves. Skipping the check of keys saves 0.07 µs of a page view's 9 µs.
  const areReads = first?.isRead === true && queued.every(({ call }) => call.kind === first);
  for (const one of queued) {
    const { kind, key, args } = one.call;
    if (!areReads) {
      const before = kinds.get(key);
      if (before !== undefined && (before !== kind || !kind.isRead)) {
        open.clear();
        kinds.clear();
      }
      kinds.set(key, kind);
    }
    let groups = open.get(kind);
    if (groups === undefined) open.set(kind, (groups = new Map()));
    const length = args.reduce((sum, arg) => sum + arg.length, 0);
    const group = client.groupOf(key);
    const last = groups.get(group);
    if (last && last.command.length < MAX_KEYS && last.length + length <= MAX_LENGTH) {
      last.command.push(one);
      last.length += length;
    } else {
      const command = [one];
      commands.push(command);
      groups.set(group, { command, length });
    }
  }
  return commands;
}

interface Open<One> {
  readonly command: One[];
  length: number;
}

/** Returns the nonce of one command. With a pool of random bytes this takes 0.1 µs instead of 4 µs. */
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
 * Whether a command failed because its slot is moving and its keys are on two servers. ioredis retries
 * TRYAGAIN for a while, then rejects with "Too many Cluster redirections".
 */
function isDivided(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof Error && /^(?:TRYAGAIN|Too many Cluster redirections)/.test(cause.message);
}

export function foreignValue(operation: StoreOperation): StoreError {
  return new StoreError(
    operation,
    "a key under the store's prefix holds a value that the store did not write there: give the store its own prefix",
  );
}

export function notAReply(operation: StoreOperation): StoreError {
  return new StoreError(operation, "Redis returned an unexpected reply to the command");
}

/**
 * A client's error may hold the command, and a server's message may quote it, session data included. So the
 * cause is a copy of the parts that are safe to log.
 */
function failure(operation: StoreOperation, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { name, code } =
    error instanceof Error ? (error as NodeJS.ErrnoException) : { name: "Error", code: undefined };
  const safe = messageOf(error).replace(/,? with args beginning with.*/s, "");
  const cause = Object.assign(new Error(safe), { name }, code === undefined ? {} : { code });
  return new StoreError(operation, `Redis failed or refused the command: ${safe}${hintFor(safe)}`, { cause });
}

/** Some errors have no message: node-redis' TimeoutError, and Node's for a host with several addresses. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  if (error.message !== "") return error.message;
  return error instanceof AggregateError && error.errors.length > 0
    ? messageOf(error.errors[0])
    : error.constructor.name;
}

/** What to change, for messages that do not say it. */
function hintFor(message: string): string {
  if (/compiling script|script shebang|command called from script/i.test(message))
    return " (the store's scripts need Redis 7 or Valkey 7.2, or later)";
  if (/^(?:ERR )?MOVED |^CROSSSLOT /.test(message))
    return " (if the server is a node of a Cluster, give redisStore a Cluster client)";
  if (message.startsWith("READONLY "))
    return " (its reads may show revoked sessions: connect the client to the primary)";
  return "";
}
