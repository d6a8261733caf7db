import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Command, Commands, Reply } from "./client.ts";
import { onFirstCore } from "./cpu.ts";
import { visit } from "./http.ts";
import type { Slice } from "./load.ts";

/**
 * A competitor in its own process, as in an application, where no other competitor's code or garbage affects
 * it.
 */
export interface ClientProcess extends Omit<Commands, "serve" | "cpu"> {
  readonly name: string;
  /** Sends page views over HTTP from this process to an application in the competitor's process. */
  httpSlice(concurrency: number, ms: number, dueShare: number): Promise<Slice>;
}

export async function startClient(
  backend: string,
  name: string,
  url: string,
  serverPid: number | undefined,
): Promise<ClientProcess> {
  const [execPath = "", ...execArgv] = [...onFirstCore(), process.execPath, ...process.execArgv];
  const child = fork(join(import.meta.dirname, "client.ts"), [backend, name, url, String(serverPid ?? "")], {
    execPath,
    execArgv,
  });
  const exited = once(child, "exit").then(([code]) => {
    throw new Error(`the process of ${name} ended with ${code}`);
  });
  exited.catch(() => undefined);
  // A client that is stopped with SIGSTOP does not notice that this process has ended.
  process.once("exit", () => child.kill("SIGKILL"));

  /**
   * Resumes the client's process for one turn. Between its turns it is stopped, because V8 collects garbage
   * when a process is idle: the process of connect-redis on node-redis took half of the core in every third
   * turn of Tenure.
   */
  async function whileResumed<Result>(work: () => Promise<Result>): Promise<Result> {
    if (CAN_STOP) child.kill("SIGCONT");
    const result = await work();
    if (CAN_STOP) child.kill("SIGSTOP");
    return result;
  }

  async function reply(): Promise<unknown> {
    const [message] = (await Promise.race([once(child, "message"), exited])) as [Reply];
    if ("error" in message) throw new Error(`${name}: ${message.error}`);
    return message.result;
  }
  function command<Call extends keyof Commands>(call: Call): Commands[Call] {
    return ((...args: readonly unknown[]) => {
      child.send({ call, args } satisfies Command);
      return reply();
    }) as Commands[Call];
  }
  function turn<Call extends keyof Commands>(call: Call): Commands[Call] {
    const send = command(call) as (...args: readonly unknown[]) => Promise<unknown>;
    return ((...args: readonly unknown[]) => whileResumed(() => send(...args))) as Commands[Call];
  }

  const [serve, cpu] = [command("serve"), command("cpu")];
  let serving: ReturnType<Commands["serve"]> | undefined;

  await whileResumed(reply);
  return {
    name,
    populate: turn("populate"),
    slice: turn("slice"),
    httpSlice: (concurrency, ms, dueShare) => whileResumed(() => httpSlice(concurrency, ms, dueShare)),
    revokeUser: turn("revokeUser"),
    revocation: turn("revocation"),
    async close() {
      if (CAN_STOP) child.kill("SIGCONT");
      await command("close")();
      child.disconnect();
      await once(child, "exit");
    },
  };

  async function httpSlice(concurrency: number, ms: number, dueShare: number): Promise<Slice> {
    const { port, cookies } = await (serving ??= serve());
    const before = await cpu(dueShare);
    const { requests, seconds } = await visit(port, cookies, concurrency, ms);
    const after = await cpu(dueShare);
    const measured = {
      requestsPerSecond: requests / seconds,
      clientMicros: (after.client - before.client) / requests,
    };
    if (after.server === undefined || before.server === undefined) return measured;
    return { ...measured, serverMicros: (after.server - before.server) / requests };
  }
}

/** Whether there are SIGSTOP and SIGCONT, which Windows lacks. */
const CAN_STOP = process.platform !== "win32";
