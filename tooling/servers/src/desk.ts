import { createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { relative } from "node:path";
import { createInterface } from "node:readline";
import { type Answer, DESK, type Question, type Shared } from "./ask-desk.ts";
import { describeMongo, hasTransactions, startMongo } from "./mongo.ts";
import type { OwnServer } from "./own-server.ts";
import { describePostgres, startPostgres } from "./postgres.ts";
import { describeRedis, startRedis } from "./redis.ts";
import { endRun } from "./run.ts";
import { type Backend, BACKENDS, findWay, type Startable, type Way } from "./way.ts";

/**
 * The one place of a test run that knows its servers. It lives in vitest's main process; test files, each in a process
 * of its own, ask it over the loopback (ask-desk.ts). A server starts when the first test file asks for it, once, for
 * all packages.
 */
export interface Desk {
  /** Closes the desk, ends what it started, and says loudly what was skipped, and in how many files. */
  close(): Promise<void>;
}

/** Opens the desk and leaves its port in `process.env`, where test files inherit it. */
export async function openDesk(): Promise<Desk> {
  const required = requiredBackends();
  const shared = new Map<Backend, Promise<Shared>>();
  const ways = new Map<Startable, Promise<Way>>();
  const skipped = new Map<string, Set<string>>();

  const socket = createServer((client) => void serve(client, answer)).listen(0, "127.0.0.1");
  await once(socket, "listening");
  // Nobody waits for the desk at the end of a run that forgot to close it.
  socket.unref();
  process.env[DESK] = String((socket.address() as AddressInfo).port);

  async function answer(question: Question): Promise<Answer> {
    const { backend, ask, asker } = question;
    const found =
      ask === "way" ? await wayTo(backend) : await memo(shared, backend, () => announced(backend));
    const why = "why" in found ? found.why : undefined;
    if (why !== undefined && asker !== undefined) {
      if (required.has(backend))
        throw new Error(`REQUIRE_BACKENDS=${required.named.join()}, but there is no ${backend}. ${why}`);
      const what = ask === "way" ? `${backend} of one's own` : backend;
      skipped.set(what, (skipped.get(what) ?? new Set()).add(relative("", asker)));
    }
    return found;
  }

  async function wayTo(backend: Startable): Promise<Way> {
    return memo(ways, backend, async () => {
      const way = await findWay(backend);
      if (way.by === "nothing") console.error(`\n!! servers: CANNOT START ${backend}. ${way.why}\n`);
      return way;
    });
  }

  async function announced(backend: Backend): Promise<Shared> {
    const found = await share(backend).catch((error: unknown) => ({ why: String(error) }));
    if ("why" in found) console.error(`\n!! servers: NO ${backend}. ${found.why}\n`);
    else console.log(`servers: ${backend} is ${found.how} at ${withoutPassword(found.url)}`);
    return found;
  }

  async function share(backend: Backend): Promise<Shared> {
    const { variable, describe } = SHARED[backend];
    const given = process.env[variable];
    if (given) return { url: given, how: `${await describe(given)} (${variable})` };
    if (backend === "mongo-transactions") {
      const mongo = await memo(shared, "mongo", () => announced("mongo"));
      if ("url" in mongo && (await hasTransactions(mongo.url))) return mongo;
      return { why: `${variable} is not set, and the mongo of this run has no transactions.` };
    }
    const way = await wayTo(backend);
    if (way.by === "nothing") return way;
    const own = await STARTERS[backend]();
    return { url: own.url, how: `${await describe(own.url)} (${own.how})` };
  }

  return {
    async close() {
      socket.close();
      delete process.env[DESK];
      for (const [what, files] of skipped) {
        console.error(
          `!! servers: SKIPPED what needs ${what}, in ${files.size} test file(s): ${[...files].join(", ")}`,
        );
      }
      await endRun();
    },
  };
}

const SHARED: Record<Backend, { variable: string; describe: (url: string) => Promise<string> }> = {
  redis: { variable: "TENURE_REDIS_URL", describe: describeRedis },
  postgres: { variable: "TENURE_POSTGRES_URL", describe: describePostgres },
  mongo: { variable: "TENURE_MONGO_URL", describe: describeMongo },
  "mongo-transactions": { variable: "TENURE_MONGO_TRANSACTIONS_URL", describe: describeMongo },
};

/** Nobody ends a shared server but the end of the run, so it need not survive a crash; many files use it at once. */
const STARTERS: Record<Exclude<Backend, "mongo-transactions">, () => Promise<OwnServer>> = {
  redis: () => startRedis(),
  postgres: () => startPostgres({ settings: { fsync: "off", max_connections: "300" } }),
  mongo: () => startMongo(),
};

async function serve(client: Socket, answer: (question: Question) => Promise<Answer>): Promise<void> {
  client.on("error", () => undefined);
  for await (const line of createInterface(client)) {
    const reply = await answer(JSON.parse(line) as Question).then(
      (value) => ({ value }),
      (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
    );
    client.write(`${JSON.stringify(reply)}\n`);
  }
}

/** What `REQUIRE_BACKENDS` names, and what that stands for. */
function requiredBackends(): {
  readonly named: readonly string[];
  has(backend: Backend | Startable): boolean;
} {
  const named = (process.env["REQUIRE_BACKENDS"] ?? "").split(",").filter(Boolean);
  const known: readonly string[] = [...BACKENDS, ...FOUND_BY_TESTS];
  const unknown = named.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new TypeError(`REQUIRE_BACKENDS names ${unknown.join(", ")}: it knows ${known.join(", ")}.`);
  }
  return { named, has: (backend) => named.includes(backend === "redis-cluster" ? "redis" : backend) };
}

/** No servers of ours: the tests that want them look for them, and fail by themselves where they are required. */
const FOUND_BY_TESTS = ["pgbouncer", "pg-native"];

function memo<K, V>(made: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = made.get(key) ?? make();
  made.set(key, known);
  return known;
}

function withoutPassword(url: string): string {
  return url.replace(/:[^:@/]*@/, ":***@");
}
