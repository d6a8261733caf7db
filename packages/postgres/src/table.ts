/** The name of the table that holds the sessions. */
export interface TableName {
  /** Default: where the connection's `search_path` finds the table, or would create it. */
  readonly schema?: string | undefined;
  /** Default `tenure_sessions`. */
  readonly table?: string | undefined;
}

export interface Table {
  /** Qualified and quoted: `"app"."tenure_sessions"`. */
  readonly sql: string;
  /** The same as a string literal, for casts to `regclass`. */
  readonly literal: string;
  /** The table whose one row holds the schema version, qualified and quoted. */
  readonly versionTable: string;
  /** The schema, quoted; `null` if `search_path` decides. */
  readonly schema: string | null;
  /** The index on `user_id`, quoted. It is always in the table's schema. */
  readonly userIndex: string;
}

/** @throws TypeError for a name that PostgreSQL would truncate or cannot hold */
export function tableOf({ schema, table = "tenure_sessions" }: TableName): Table {
  const schemaName = schema === undefined ? null : quote("schema", schema);
  const qualify = (name: string) => (schemaName === null ? name : `${schemaName}.${name}`);
  const sql = qualify(quote("table", table));
  return {
    sql,
    literal: `'${sql.replaceAll("'", "''")}'`,
    versionTable: qualify(quote("table", shortened(table, "_schema"))),
    schema: schemaName,
    userIndex: quote("table", shortened(table, "_user_id")),
  };
}

/** PostgreSQL silently truncates a longer name, so two tables could become one. */
const MAX_BYTES = 63;

function quote(what: string, name: string): string {
  const bytes = typeof name === "string" ? Buffer.byteLength(name) : 0;
  if (bytes === 0 || bytes > MAX_BYTES || name.includes("\0") || !name.isWellFormed()) {
    throw new TypeError(`${what} must be a name of 1 to ${MAX_BYTES} bytes, without NUL or lone surrogates`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

function shortened(name: string, suffix: string): string {
  let end = name.length;
  while (Buffer.byteLength(name.slice(0, end)) > MAX_BYTES - suffix.length) end -= 1;
  const start = name.slice(0, end);
  return (start.isWellFormed() ? start : start.slice(0, -1)) + suffix;
}
