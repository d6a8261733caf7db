import { StoreError, type StoreOperation } from "@tenure/core";
import { batched } from "@tenure/core/store";
import type { Script, ScriptCall, StoreClient } from "./client.ts";
import type { ReplicaWait } from "./options.ts";

/**
 * Runs scripts and waits until replicas have their writes. WAIT follows the scripts on their connection,
 * because it covers only the writes of its own.
 *
 * WAIT blocks that connection, so a node has one at a time, for all scripts that arrived during the previous
 * one.
 */
export function confirmedByReplicas(client: StoreClient, { count, timeout }: ReplicaWait): RunDurably {
  const nodes = new Map<string, (call: ScriptCall) => Promise<Confirmed>>();

  return async (operation, script, keys, args) => {
    const call = { script, keys, args };
    for (let attempts = 0; ; attempts += 1) {
      try {
        const { reply, confirmed } = await runOn(client.nodeOf(keys[0] as string), call);
        if (confirmed >= count) return reply;
        throw new StoreError(
          operation,
          `done on the primary, but only ${confirmed} of ${count} replicas confirmed within ${timeout} ms: a failover may undo it`,
        );
      } catch (error) {
        // Clients do not follow redirections in a pipeline. They follow that of a single command, and
        // remember it.
        if (attempts === 3 || !isRedirection(error)) throw error;
        await client.run("EVAL", script.source, keys, args);
      }
    }
  };

  function runOn(node: string, call: ScriptCall): Promise<Confirmed> {
    let run = nodes.get(node);
    if (run === undefined) {
      run = batched<ScriptCall, Confirmed>({ slots: 1, limit: 500, run: runTogether });
      nodes.set(node, run);
    }
    return run(call);
  }

  async function runTogether(calls: readonly ScriptCall[]): Promise<(Confirmed | Error)[]> {
    const { replies, confirmed } = await client.runAndWait(calls, count, timeout);
    return replies.map((reply) => (reply instanceof Error ? reply : { reply, confirmed }));
  }
}

/** Runs a script, and resolves to its reply once replicas have its writes. */
export type RunDurably = (
  operation: StoreOperation,
  script: Script,
  keys: readonly string[],
  args: readonly string[],
) => Promise<unknown>;

interface Confirmed {
  readonly reply: unknown;
  readonly confirmed: number;
}

/** The last pattern is from ioredis: a slot moved while its call waited, so the calls are for two nodes. */
function isRedirection(error: unknown): boolean {
  const pattern = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN) |same slots allocation group/;
  return error instanceof Error && pattern.test(error.message);
}
