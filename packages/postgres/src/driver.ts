import { createHash } from "node:crypto";

/** What the store uses of a `pg.Pool`. */
export interface PostgresPool {
  connect(): Promise<PooledClient>;
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Emitted for each new connection, before anybody gets it. */
  on(event: "connect", listener: (client: PooledClient) => void): unknown;
}

/** What the store uses of a `pg.Client`, or of a client that was checked out of a pool. */
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
  /** Absent where there are none: with an empty list, pg-native would prepare what may be several statements. */
  values?: unknown[];
  rowMode: "array";
  types: { getTypeParser: () => (value: unknown) => string };
}

/** A statement with its values. Every column of its reply is text. */
export interface Query {
  readonly statement: Statement;
  readonly values: unknown[];
}

export interface Statement {
  /** `null`: never prepared by name. */
  readonly name: string | null;
  readonly text: string;
}

/** The columns of a row, each text or `null`. */
export type Row = readonly (string | null)[];

/**
 * The name follows the text: behind a pooler that shares server connections, a statement that another version of the
 * application prepared under the same name is the same statement.
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

/** Type parsers that the application has set for its own queries do not reach ours. */
const AS_TEXT = { getTypeParser: () => String };
