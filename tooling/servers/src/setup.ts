import type { ProvidedContext } from "vitest";
import type { Vitest } from "vitest/node";
import { describeMongo, startMongo } from "./mongo.ts";
import { describePostgres, startPostgres } from "./postgres.ts";
import { describeRedis, startRedis } from "./redis.ts";
import type { Shared } from "./server.ts";
import { type Backend, findSource, rememberSource, type Source, type Startable } from "./source.ts";

/** The part of vitest's project that the setup uses. */
interface Project {
  getProvidedContext(): Partial<ProvidedContext>;
  readonly vitest: Pick<Vitest, "provide">;
}

/**
 * vitest's globalSetup of every project that has backends. Starts the backends that no earlier project has
 * started, and returns a function that ends them, which vitest calls after the tests of all projects.
 */
export default async function setup(project: Project): Promise<() => Promise<void>> {
  const context = project.getProvidedContext();
  const shared: { [backend in Backend]?: Shared } = { ...context.shared };
  const sources: { [backend in Startable]?: Source } = { ...context.sources };
  const started = new AsyncDisposableStack();

  for (const backend of context.backends ?? []) {
    for (const one of STARTABLE[backend]) rememberSource(one, (sources[one] ??= await findSource(one)));
    if (shared[backend] !== undefined) continue;
    const found = await share(backend, shared.mongo, started).catch((error: Error) => ({
      why: error.message,
    }));
    if ("why" in found)
      console.error(`\n!! servers: NO ${backend}: tests that need it are skipped. ${found.why}\n`);
    else console.log(`servers: ${backend} is ${found.how} at ${found.url.replace(/:[^:@/]*@/, ":***@")}`);
    shared[backend] = found;
  }
  project.vitest.provide("shared", shared);
  project.vitest.provide("sources", sources);
  return () => started.disposeAsync();
}

/** Finds or starts a server. Rejects if neither is possible. */
async function share(
  backend: Backend,
  mongo: Shared | undefined,
  started: AsyncDisposableStack,
): Promise<Shared> {
  const { variable, describe, start } = SHARED[backend];
  const given = process.env[variable];
  if (given) return { url: given, how: `${await describe(given)} (${variable})` };
  if (start !== undefined) {
    const { url, how } = started.use(await start());
    return { url, how: `${await describe(url)} (${how})` };
  }
  if (mongo !== undefined && "url" in mongo && !(await describe(mongo.url)).endsWith("standalone"))
    return mongo;
  throw new Error(`${variable} is not set, and the mongo of this run has no transactions.`);
}

/** A shared server need not survive a crash, and many files use it concurrently. */
const SHARED = {
  redis: { variable: "TENURE_REDIS_URL", describe: describeRedis, start: startRedis },
  postgres: {
    variable: "TENURE_POSTGRES_URL",
    describe: describePostgres,
    start: () => startPostgres({ settings: { fsync: "off", max_connections: "300" } }),
  },
  mongo: { variable: "TENURE_MONGO_URL", describe: describeMongo, start: startMongo },
  // The server of `mongo`, if it is a replica set or sharded.
  "mongo-transactions": {
    variable: "TENURE_MONGO_TRANSACTIONS_URL",
    describe: describeMongo,
    start: undefined,
  },
} as const;

const STARTABLE: Record<Backend, readonly Startable[]> = {
  redis: ["redis", "redis-cluster"],
  postgres: ["postgres"],
  mongo: ["mongo"],
  "mongo-transactions": [],
};
