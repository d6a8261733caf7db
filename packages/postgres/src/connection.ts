import {
  type PooledClient,
  type PostgresPool,
  type Rows,
  toDriverQuery,
  toRows,
  unprepared,
} from "./driver.ts";
import { keepsConnection } from "./failure.ts";

/** Uses a connection of the pool and gives it back: to be used again where `keeps` says so of the error. */
export async function borrow<Answer>(
  pool: PostgresPool,
  keeps: (error: unknown) => boolean,
  use: (client: PooledClient) => Promise<Answer>,
): Promise<Answer> {
  const client = await pool.connect();
  // While a client is checked out, an error of its connection would otherwise end the process.
  client.on("error", ignore);
  let destroy = false;
  try {
    return await use(client);
  } catch (error) {
    destroy = !keeps(error);
    throw error;
  } finally {
    client.removeListener("error", ignore);
    client.release(destroy);
  }
}

/** Runs a transaction in which each statement sees what was committed before it, whatever the server's default is. */
export async function inReadCommitted<Answer>(
  client: PooledClient,
  work: () => Promise<Answer>,
): Promise<Answer> {
  await command(client, "begin isolation level read committed");
  try {
    const answer = await work();
    await command(client, "commit");
    return answer;
  } catch (error) {
    if (keepsConnection(error)) await command(client, "rollback");
    throw error;
  }
}

export async function command(client: PooledClient, text: string, values: unknown[] = []): Promise<Rows> {
  return toRows((await client.query(toDriverQuery({ statement: unprepared(text), values }, false))).rows);
}

/** A pool emits `error` when an idle connection breaks, which ends a process that does not listen. The pool replaces it. */
export function survive(pool: PostgresPool): void {
  if (surviving.has(pool)) return;
  surviving.add(pool);
  pool.on("error", ignore);
}

const surviving = new WeakSet<PostgresPool>();

function ignore(): void {}
