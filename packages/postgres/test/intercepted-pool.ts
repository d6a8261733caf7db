import type { PostgresPool } from "@tenure/postgres";
import type { Pool } from "pg";

type Client = Awaited<ReturnType<PostgresPool["connect"]>>;

/** Receives each statement of the store, and calls `next` to run it. */
export type Intercept = (
  ...given: [...Parameters<Client["query"]>, next: Client["query"]]
) => ReturnType<Client["query"]>;

/** Returns the pool with a test's interceptor between it and the store. */
export function intercepted(pool: Pool, intercept: Intercept): PostgresPool {
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

/** Returns a pool without a server, whose replies the test makes up. */
export function fakePool(query: Client["query"], release: Client["release"] = () => undefined): PostgresPool {
  const on = (): undefined => undefined;
  return { on, connect: async () => ({ on, removeListener: on, query, release }) };
}
