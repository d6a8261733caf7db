import type { PostgresAddress } from "../address.ts";
import { connectPostgres, quotedName } from "../backends/postgres-client.ts";
import { dataOf, type Source, type SourceOptions } from "./source.ts";

/**
 * Reads the sessions of connect-pg-simple 3 to 10. A row has `sid`, `sess` (json) and `expire` (timestamp
 * without time zone, in the connection's time zone).
 *
 * @param name the options `schemaName` and `tableName` of PGStore, the latter `"session"` by default
 */
export async function connectPgSimpleSource(
  address: PostgresAddress,
  { schema, table = "session" }: Pick<SourceOptions, "schema" | "table">,
): Promise<Source> {
  const pool = await connectPostgres(address);
  const name = quotedName({ schema, table });
  return {
    label: `${address.label}, table ${name}`,
    async estimate() {
      const { rows } = await pool.query<{ count: string }>(`select count(*) as count from ${name}`);
      return Number(rows[0]?.count) || null;
    },
    async *sessions() {
      const page = `
        select sid, sess::text as sess, extract(epoch from expire::timestamptz - now())::float8 * 1000 as left_ms
        from ${name} where sid > $1 order by sid limit 500`;
      for (let after: string | undefined = ""; after !== undefined;) {
        const { rows }: { rows: Row[] } = await pool.query<Row>(page, [after]);
        for (const { sid, sess, left_ms: left } of rows) yield { token: sid, data: dataOf(sess), left };
        after = rows.at(-1)?.sid;
      }
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

interface Row {
  readonly sid: string;
  readonly sess: string;
  readonly left_ms: number;
}
