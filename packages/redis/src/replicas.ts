import { StoreError } from "@tenure/core";
import { batched } from "@tenure/core/store";
import type { ScriptCall, StoreClient } from "./client.ts";
import type { ReplicaWait } from "./options.ts";

/**
 * Runs scripts, and then waits on their connection until replicas have what they wrote, because WAIT knows of nothing else.
 *
 * WAIT blocks its connection. So each node has one at a time, for all scripts that came since the last.
 */
export function confirmedByReplicas(
  client: StoreClient,
  { count, timeout }: ReplicaWait,
): StoreClient["run"] {
  const nodes = new Map<string, (call: ScriptCall) => Promise<Confirmed>>();

  return async (script, keys, args) => {
    const call = { script, keys, args };
    for (let attempts = 0; ; attempts += 1) {
      try {
        const { reply, confirmed } = await runOn(client.nodeOf(keys[0] as string), call);
        if (confirmed >= count) return reply;
        throw new StoreError(
          "update",
          `done on the primary, but ${confirmed} of ${count} replicas confirmed within ${timeout} ms: a failover may undo it`,
        );
      } catch (error) {
        // A client follows no redirection of one command among many. It follows that of a single one, and remembers.
        if (attempts === 3 || !isRedirection(error)) throw error;
        await client.run(script, keys, args);
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

interface Confirmed {
  readonly reply: unknown;
  readonly confirmed: number;
}

function isRedirection(error: unknown): boolean {
  return error instanceof Error && /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /.test(error.message);
}
