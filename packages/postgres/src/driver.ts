import { createHash } from "node:crypto";

/** The part of `pg.Pool` that the store uses. */
export interface PostgresPool {
  connect(): Promise<PooledClient>;
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Emitted for each new connection, before `connect` resolves with it. */
  on(event: "connect", listener: (client: PooledClient) => void): unknown;
}

/** @throws TypeError for anything but a pool, such as a `pg.Client`, which also has `connect` and `on` */
export function assertPool(pool: PostgresPool): void {
  const hasMethods = typeof pool?.connect === "function" && typeof pool.on === "function";
  if (hasMethods && !("connectionParameters" in pool)) return;
  throw new TypeError("pool must be a pg.Pool, such as new Pool({ connectionString })");
}

/** The part of `pg.Client` that the store uses. */
export interface PostgresClient {
  query(query: DriverQuery): Promise<{ readonly rows: unknown[][] }>;
}

export interface PooledClient extends PostgresClient {
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  release(destroy?: boolean): void;
}

export interface DriverQuery {
  name?: string;
  text: string;
  /**
   * Absent if there are none: with an empty list, pg-native would prepare the text, which may hold several
   * statements.
   */
  values?: unknown[];
  rowMode: "array";
  types: { getTypeParser: () => (value: unknown) => string };
}

/** A statement with its values. Every column of the reply is text. */
export interface Query {
  readonly statement: Statement;
  readonly values: unknown[];
}

export interface Statement {
  /** `null`: never a named prepared statement. */
  readonly name: string | null;
  readonly text: string;
}

export type Row = readonly (string | null)[];

/**
 * Names a statement after its text. Behind a pooler that shares server connections, two versions of the
 * application thus never prepare different statements under one name.
 */
export function statement(text: string): Statement {
  return { name: `tenure_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`, text };
}

export function unprepared(text: string): Statement {
  return { name: null, text };
}

export async function rowsOf(
  client: PostgresClient,
  query: Query,
  isNamed: boolean,
): Promise<readonly Row[]> {
  const { name, text } = query.statement;
  const driverQuery: DriverQuery = { text, rowMode: "array", types: AS_TEXT };
  if (query.values.length > 0) driverQuery.values = query.values;
  if (isNamed && name !== null) driverQuery.name = name;
  return (await client.query(driverQuery)).rows as (string | null)[][];
}

export const NOT_PG =
  "the pool or client is not one of pg: give postgresStore a pg.Pool, and `with` the pg.Client of your transaction";

/** Protects replies from type parsers that the application has set for its own queries. */
const AS_TEXT = { getTypeParser: () => String };
