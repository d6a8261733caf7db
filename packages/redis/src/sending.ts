import { StoreError, type StoreOperation } from "@tenure/core";
import { type ClientSettings, type Connection, connectionsOf, type RedisClient } from "./client.ts";
import { takeBack } from "./nonce.ts";
import type { Script } from "./scripts.ts";
import { waitingRoom } from "./waiting.ts";

/** Runs a script on a key. A buffer among `args` is the call's nonce, and is taken back when nobody waits any more. */
export type Run = (
  operation: StoreOperation,
  script: Script,
  key: string,
  args: readonly (string | Buffer)[],
) => Promise<unknown>;

/**
 * Waits for a command, up to `timeout`. Rejects with a StoreError for whatever the client rejects with, and when the time is
 * over.
 *
 * @param command sends it
 * @param givenUp what to do when nobody waits any more
 */
export type Send = <Answer>(
  operation: StoreOperation,
  command: () => Promise<Answer>,
  givenUp?: () => void,
) => Promise<Answer>;

/** How commands reach the server: many at once, each answered or failed in time. */
export interface Sending {
  readonly send: Send;
  readonly run: Run;
}

/**
 * @param timeout milliseconds. ioredis alone may wait for ever: without `commandTimeout` for an answer, and with
 *   `maxRetriesPerRequest: null` for a connection.
 * @param atFirstAnswer called once, when the first command has been answered
 */
export function sendingThrough(
  client: RedisClient,
  settings: ClientSettings,
  timeout: number,
  atFirstAnswer: () => void,
): Sending {
  const oneWrite = settings.enableAutoPipelining ? () => undefined : oneWriteATick(client);
  const waiting = waitingRoom(timeout);
  let answered = false;

  function send<Answer>(
    operation: StoreOperation,
    command: () => Promise<Answer>,
    givenUp?: () => void,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let again = true;
      const giveUp = (error: StoreError): void => {
        again = false;
        waiting.leave(waiter);
        // Also where the client has rejected: ioredis still sends a command that ran into its `commandTimeout`.
        givenUp?.();
        reject(error);
      };
      const waiter = waiting.enter(() =>
        giveUp(new StoreError(operation, `Redis did not answer within ${timeout} ms`)),
      );
      const succeed = (answer: Answer): void => {
        waiting.leave(waiter);
        resolve(answer);
        if (answered) return;
        answered = true;
        atFirstAnswer();
      };
      const fail = (cause: unknown): void => {
        // Of a pipeline that was answered in part, ioredis sends nothing again. Every command here may be sent twice.
        if (again && wasAborted(cause)) {
          again = false;
          attempt(command, succeed, fail);
          return;
        }
        giveUp(failure(operation, cause));
      };
      oneWrite();
      attempt(command, succeed, fail);
    });
  }

  return {
    send,
    run(operation, script, key, args) {
      return send(operation, () => evaluate(client, script, key, args), takingBack(args));
    },
  };
}

/** What to do when nobody waits for a script any more. */
export function takingBack(args: readonly (string | Buffer)[]): (() => void) | undefined {
  const nonce = args.find((arg) => typeof arg !== "string");
  return nonce && (() => takeBack(nonce));
}

function attempt<Answer>(
  command: () => Promise<Answer>,
  succeed: (answer: Answer) => void,
  fail: (cause: unknown) => void,
): void {
  try {
    command().then(succeed, fail);
  } catch (cause) {
    fail(cause);
  }
}

function wasAborted(cause: unknown): boolean {
  return cause instanceof Error && cause.name === "AbortError";
}

/** A server knows a script by its digest until it is restarted, flushed or replaced; then it is told the whole script. */
export function evaluate(
  client: RedisClient,
  { source, sha }: Script,
  key: string,
  args: readonly (string | Buffer)[],
): Promise<unknown> {
  return client.evalsha(sha, 1, key, ...args).catch((error: unknown) => {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
    return client.eval(source, 1, key, ...args);
  });
}

/**
 * ioredis writes each command to the socket at once. Holding the sockets back until the callbacks of this turn of the event
 * loop have run makes one system call of all they send.
 */
function oneWriteATick(client: RedisClient): () => void {
  let held: readonly Connection[] | undefined;
  function release(): void {
    for (const connection of held ?? []) connection.uncork();
    held = undefined;
  }
  return () => {
    if (held) return;
    held = connectionsOf(client);
    for (const connection of held) connection.cork();
    setImmediate(release);
  };
}

function failure(operation: StoreOperation, cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError(operation, `Redis failed or refused: ${message}`, { cause: withoutArguments(cause) });
}

/** ioredis adds the command to an error, with all that was to be stored; an error is logged, and sessions must not be. */
function withoutArguments(cause: unknown): unknown {
  if (cause instanceof Error && "command" in cause) delete cause.command;
  return cause;
}
