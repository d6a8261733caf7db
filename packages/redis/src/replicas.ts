import { StoreError } from "@tenure/core";
import type { RedisClient } from "./client.ts";
import type { ReplicaWait } from "./options.ts";
import type { Run, Sending } from "./sending.ts";

/**
 * Runs a script and, when it has answered, once more with the same nonce; then waits on that very connection until replicas
 * have what it wrote, for WAIT knows of nothing else. The repetition changes nothing of
 * what the first run wrote, unless a failover lost that: then it makes it good.
 *
 * The answer is a StoreError when too few replicas confirmed in time.
 */
export function confirmedByReplicas(client: RedisClient, { send, run }: Sending, wait: ReplicaWait): Run {
  return async (operation, script, key, args) => {
    const answer = await run(operation, script, key, args);
    const again = await send(operation, () =>
      client
        .pipeline()
        .eval(script.source, 1, key, ...args)
        .wait(wait.count, wait.timeout)
        .exec(),
    );
    const failed = again?.find(([error]) => error !== null)?.[0];
    if (failed)
      throw new StoreError(operation, "Redis could not say whether replicas have it", { cause: failed });
    const confirmed = Number(again?.[1]?.[1] ?? 0);
    if (confirmed >= wait.count) return moreTelling(answer, again?.[0]?.[1]);
    throw new StoreError(
      operation,
      `done on the primary, but ${confirmed} of ${wait.count} replicas confirmed within ${wait.timeout} ms: a failover now may undo it`,
    );
  };
}

/** The second run's answer, as the first may have found nothing to do; but only a first run tells details. */
function moreTelling(first: unknown, second: unknown): unknown {
  return Array.isArray(first) && first[0] === second ? first : second;
}
