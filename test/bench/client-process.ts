import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Orders, Reply } from "./client.ts";
import { onFirstCore } from "./cpu.ts";
import { visit } from "./http.ts";
import type { Slice } from "./load.ts";

/**
 * A competitor in its own process, as in an application, so that no other competitor's code and garbage
 * affect it.
 */
export interface ClientProcess extends Omit<Orders, "serve" | "cpu"> {
  readonly name: string;
  /** Sends page views over HTTP from this process to an application in the competitor's process. */
  httpSlice(concurrency: number, ms: number, share: number): Promise<Slice>;
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
  // A stopped process does not notice that this process has ended.
  process.once("exit", () => child.kill("SIGKILL"));

  /**
   * Runs the client's process, which is stopped between its turns. V8 collects garbage when a process is
   * idle: the process of connect-redis on node-redis took half of the core in every third turn of Tenure.
   */
  async function awake<Result>(work: () => Promise<Result>): Promise<Result> {
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
  function order<Call extends keyof Orders>(call: Call): Orders[Call] {
    return ((...args: readonly unknown[]) => {
      child.send({ call, args });
      return reply();
    }) as Orders[Call];
  }
  function turn<Call extends keyof Orders>(call: Call): Orders[Call] {
    const give = order(call) as (...args: readonly unknown[]) => Promise<unknown>;
    return ((...args: readonly unknown[]) => awake(() => give(...args))) as Orders[Call];
  }

  const [serve, cpu] = [order("serve"), order("cpu")];
  let serving: ReturnType<Orders["serve"]> | undefined;

  await awake(reply);
  return {
    name,
    populate: turn("populate"),
    slice: turn("slice"),
    httpSlice: (concurrency, ms, share) => awake(() => httpSlice(concurrency, ms, share)),
    revokeUser: turn("revokeUser"),
    revocation: turn("revocation"),
    async close() {
      if (CAN_STOP) child.kill("SIGCONT");
      await order("close")();
      child.disconnect();
      await once(child, "exit");
    },
  };

  async function httpSlice(concurrency: number, ms: number, share: number): Promise<Slice> {
    const { port, cookies } = await (serving ??= serve());
    const before = await cpu(share);
    const { requests, seconds } = await visit(port, cookies, concurrency, ms);
    const after = await cpu(share);
    const measured = {
      requestsPerSecond: requests / seconds,
      clientMicros: (after.client - before.client) / requests,
    };
    if (after.server === undefined || before.server === undefined) return measured;
    return { ...measured, serverMicros: (after.server - before.server) / requests };
  }
}

/** Windows has no such signals. */
const CAN_STOP = process.platform !== "win32";
