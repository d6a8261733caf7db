import { type ChildProcess, fork } from "node:child_process";
import { type SessionRecord, type SessionStore, StoreError, type StoreOperation } from "@tenure/core";

/** A call, as it is sent to the other process. */
export interface CallMessage {
  readonly call: number;
  readonly method: keyof SessionStore;
  readonly args: readonly unknown[];
}

/** The outcome of a call, as the other process sends it. */
export interface ReplyMessage {
  readonly call: number;
  readonly result?: unknown;
  readonly error?: {
    readonly name: string;
    readonly message: string;
    readonly operation: StoreOperation | undefined;
  };
}

/** Starts a module of this folder in its own process. */
export function startProcess(fixture: string, args: readonly string[]): ChildProcess {
  return fork(new URL(fixture, import.meta.url), args, {
    execArgv: ["--conditions=@tenure/source", "--disable-warning=ExperimentalWarning"],
    serialization: "advanced",
  });
}

/** Resolves to the next message of a process. Rejects if the process ends without one. */
export function messageOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    // "exit" may come before a message that was sent earlier.
    child.once("close", (code) => reject(new Error(`the process ended (${code}) without a message`)));
  });
}

/** Returns a store on the file, in its own process. */
export async function storeInOtherProcess(
  file: string,
): Promise<SessionStore & { readonly stop: () => void }> {
  const child = startProcess("serving.fixture.ts", [file]);
  await messageOf(child);
  const waiting = new Map<number, (reply: ReplyMessage) => void>();
  child.on("message", (reply: ReplyMessage) => {
    waiting.get(reply.call)?.(reply);
    waiting.delete(reply.call);
  });
  let calls = 0;

  async function send(method: keyof SessionStore, ...args: unknown[]): Promise<never> {
    const call = (calls += 1);
    const { result, error } = await new Promise<ReplyMessage>((resolve) => {
      waiting.set(call, resolve);
      // Throws for a symbol, which cannot be sent to a process, so the promise rejects.
      child.send({ call, method, args } satisfies CallMessage);
    });
    if (!error) return result as never;
    if (error.operation === undefined)
      throw Object.assign(new TypeError(error.message), { name: error.name });
    throw new StoreError(error.operation, error.message);
  }

  return {
    create: (session) => send("create", session),
    read: (id) => send("read", id),
    update: (id, changes) => send("update", id, changes),
    revoke: (id) => send("revoke", id),
    revokeUser: (userId, options) => send("revokeUser", userId, options),
    listUser: (userId) => send("listUser", userId),
    async *scan() {
      yield* (await send("scan")) as SessionRecord[];
    },
    now: () => send("now"),
    stop: () => child.disconnect(),
  };
}
