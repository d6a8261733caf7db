import type { ProvidedContext } from "vitest";
import { describeMongo, hasTransactions, startMongo } from "./mongo.ts";
import { describePostgres, startPostgres } from "./postgres.ts";
import { describeRedis, startRedis } from "./redis.ts";
import type { Shared } from "./server.ts";
import { type Backend, findWay, type Startable, useWay, type Way } from "./way.ts";

/**
 * vitest's globalSetup of every project that has backends. It starts those that no project before it has started. They end with
 * vitest's process (run.ts).
 */
export default async function setup(project: Project): Promise<void> {
  const context = project.getProvidedContext();
  const shared: { [backend in Backend]?: Shared } = { ...context.shared };
  const ways: { [backend in Startable]?: Way } = { ...context.ways };
  for (const backend of context.backends ?? []) {
    for (const startable of STARTABLE[backend])
      useWay(startable, (ways[startable] ??= await findWay(startable)));
    shared[backend] ??= await announced(backend, shared.mongo);
  }
  project.vitest.provide("shared", shared);
  project.vitest.provide("ways", ways);
}

/** What the setup uses of a project. */
interface Project {
  getProvidedContext(): Partial<ProvidedContext>;
  readonly vitest: {
    readonly provide: <Key extends "shared" | "ways">(key: Key, value: ProvidedContext[Key]) => void;
  };
}

const STARTABLE: Record<Backend, readonly Startable[]> = {
  redis: ["redis", "redis-cluster"],
  postgres: ["postgres"],
  mongo: ["mongo"],
  "mongo-transactions": [],
};

async function announced(backend: Backend, mongo: Shared | undefined): Promise<Shared> {
  const found = await share(backend, mongo).catch((error: Error) => ({ why: error.message }));
  if ("why" in found) console.error(`\n!! servers: NO ${backend}: what needs it is skipped. ${found.why}\n`);
  else console.log(`servers: ${backend} is ${found.how} at ${found.url.replace(/:[^:@/]*@/, ":***@")}`);
  return found;
}

async function share(backend: Backend, mongo: Shared | undefined): Promise<Shared> {
  const { variable, describe, start } = SHARED[backend];
  const given = process.env[variable];
  if (given) return { url: given, how: `${await describe(given)} (${variable})` };
  if (start !== undefined) {
    const own = await start();
    return { url: own.url, how: `${await describe(own.url)} (${own.how})` };
  }
  if (mongo !== undefined && "url" in mongo && (await hasTransactions(mongo.url))) return mongo;
  return { why: `${variable} is not set, and the mongo of this run has no transactions.` };
}

/** A shared server need not survive a crash, and many files use it at once. */
const SHARED = {
  redis: { variable: "TENURE_REDIS_URL", describe: describeRedis, start: startRedis },
  postgres: {
    variable: "TENURE_POSTGRES_URL",
    describe: describePostgres,
    start: () => startPostgres({ settings: { fsync: "off", max_connections: "300" } }),
  },
  mongo: { variable: "TENURE_MONGO_URL", describe: describeMongo, start: startMongo },
  "mongo-transactions": {
    variable: "TENURE_MONGO_TRANSACTIONS_URL",
    describe: describeMongo,
    start: undefined,
  },
} as const;
