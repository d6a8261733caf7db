import type { MongoOptions } from "mongodb";

/** What limits a call, and what it is called in the error. */
export interface Limit {
  readonly ms: number;
  readonly name: string;
}

/**
 * The client's `timeoutMS` limits one command; this limits a call, with its wait for other calls and all its commands.
 * Drivers in which `timeoutMS` has no effect (6.22 and 7.9) don't tell it either: with them it is no limit here.
 */
export function limitOfCall(timeoutMS: number | undefined): Limit | undefined {
  return timeoutMS === undefined || timeoutMS <= 0 ? undefined : { ms: timeoutMS, name: "timeoutMS" };
}

/**
 * The most that a command takes within the client's limits, which the driver starts anew where it tries a second time. The
 * driver (6.9 to 7.9) itself goes beyond: it waits for the `drain` of a socket that it has closed itself, for good. A client
 * without `socketTimeoutMS` has no such limit.
 */
export function limitOfCommand(options: Partial<MongoOptions> | undefined): Limit | undefined {
  const {
    socketTimeoutMS = 0,
    serverSelectionTimeoutMS = 0,
    connectTimeoutMS = 0,
    waitQueueTimeoutMS = 0,
  } = options ?? {};
  if (socketTimeoutMS <= 0) return undefined;
  const once = socketTimeoutMS + serverSelectionTimeoutMS + connectTimeoutMS + waitQueueTimeoutMS;
  return { ms: 2 * once, name: "limits" };
}

/** What was begun goes on by itself, and nobody waits for it. */
export async function within<Answer>(limit: Limit | undefined, work: Promise<Answer>): Promise<Answer> {
  if (limit === undefined) return work;
  const { ms, name } = limit;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within the client's ${name} of ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
