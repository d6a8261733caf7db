import type { PostgresPool } from "@tenure/postgres";
import type { Pool } from "pg";

type Client = Awaited<ReturnType<PostgresPool["connect"]>>;

/** Receives each statement of the store, and calls `next` to run it. */
export type Intercept = (
  ...given: [...Parameters<Client["query"]>, next: Client["query"]]
) => ReturnType<Client["query"]>;

/** Returns the pool with a test's interceptor between it and the store. */
export function intercepted(pool: PostgresPool, intercept: Intercept): PostgresPool {
  return {
    on: pool.on.bind(pool),
    async connect() {
      const client = await pool.connect();
      return {
        on: client.on.bind(client),
        removeListener: client.removeListener.bind(client),
        release: (destroy) => client.release(destroy),
        query: (query) => intercept(query, (passed) => client.query(passed)),
      };
    },
  };
}

/** What a store does with a pool. */
export interface Watch {
  readonly pool: PostgresPool;
  readonly statements: { readonly name: string | undefined; readonly values: readonly unknown[] }[];
  /** How many statements without `lock_timeout` are under way: only the release of a lock ends their wait. */
  patient: number;
  /** SQLSTATEs of the server's replies. */
  readonly errors: Set<unknown>;
  /** The most connections that were checked out at the same time. */
  mostConnections: number;
  /** How often a connection was requested. */
  connects: number;
}

export function watching(pool: Pool): Watch {
  let checkedOut = 0;
  const between = intercepted(pool, async (query, next) => {
    watch.statements.push({ name: query.name, values: query.values ?? [] });
    // The last value of a write is its lock_timeout.
    const isPatient = query.values?.at(-1) === null;
    if (isPatient) watch.patient += 1;
    try {
      return await next(query);
    } catch (error) {
      if (error instanceof Error && "code" in error) watch.errors.add(error.code);
      throw error;
    } finally {
      if (isPatient) watch.patient -= 1;
    }
  });
  const watch: Watch = {
    statements: [],
    patient: 0,
    errors: new Set(),
    mostConnections: 0,
    connects: 0,
    pool: {
      ...between,
      async connect() {
        watch.connects += 1;
        const client = await between.connect();
        watch.mostConnections = Math.max(watch.mostConnections, (checkedOut += 1));
        return {
          ...client,
          release(destroy) {
            checkedOut -= 1;
            client.release(destroy);
          },
        };
      },
    },
  };
  return watch;
}

/** Returns a pool without a server, whose replies the test makes up. */
export function fakePool(query: Client["query"], release: Client["release"] = () => undefined): PostgresPool {
  const on = (): undefined => undefined;
  return { on, connect: async () => ({ on, removeListener: on, query, release }) };
}
