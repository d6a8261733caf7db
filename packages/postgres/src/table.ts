/** Which table holds the sessions. */
export interface TableName {
  /** Absent: wherever the connection's `search_path` finds the table, or would create it. */
  readonly schema?: string | undefined;
  /** Default `tenure_sessions`. */
  readonly table?: string | undefined;
}

/** A table's name as SQL writes it, and what is derived from it. */
export interface Table {
  /** Qualified and quoted: `"app"."tenure_sessions"`. */
  readonly sql: string;
  /** The schema, quoted; `null` where `search_path` decides. */
  readonly schema: string | null;
  /** The index on the user, quoted: it lives in the table's schema. */
  readonly userIndex: string;
}

/** @throws TypeError for a name that PostgreSQL would cut or can't hold */
export function tableOf({ schema, table = "tenure_sessions" }: TableName): Table {
  const name = quote("table", table);
  const schemaName = schema === undefined ? null : quote("schema", schema);
  return {
    sql: schemaName === null ? name : `${schemaName}.${name}`,
    schema: schemaName,
    userIndex: quote("table", `${shorten(table)}_user_id`),
  };
}

/** PostgreSQL cuts a longer name silently, and two tables could become one. */
const MAX_BYTES = 63;

function quote(what: string, name: string): string {
  const bytes = typeof name === "string" ? Buffer.byteLength(name) : 0;
  if (bytes === 0 || bytes > MAX_BYTES || name.includes("\0") || !name.isWellFormed()) {
    throw new TypeError(`${what} must be a name of 1 to ${MAX_BYTES} bytes, as PostgreSQL can hold it`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

function shorten(name: string): string {
  let end = name.length;
  while (Buffer.byteLength(name.slice(0, end)) > MAX_BYTES - "_user_id".length) end -= 1;
  return name.slice(0, end).isWellFormed() ? name.slice(0, end) : name.slice(0, end - 1);
}
