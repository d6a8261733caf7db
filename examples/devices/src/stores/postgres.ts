import { migrate, postgresStore } from "@tenure/postgres";
import pg from "pg";
import { startEmbeddedPostgres } from "./embedded-postgres.ts";
import type { OpenedStore } from "./open-store.ts";

export async function openPostgres(address: string, shown: string): Promise<OpenedStore> {
  const pool = new pg.Pool({ connectionString: address, connectionTimeoutMillis: 3000 });
  // An idle connection broke. The next call takes another one.
  pool.on("error", () => undefined);
  const table = { table: "tenure_demo_sessions" };
  try {
    await migrate(pool, table);
  } catch (error) {
    await pool.end();
    throw error;
  }
  return { store: postgresStore(pool, table), place: `PostgreSQL at ${shown}`, close: () => pool.end() };
}

export async function openEmbeddedPostgres(): Promise<OpenedStore> {
  const server = await startEmbeddedPostgres();
  try {
    const opened = await openPostgres(server.url, "");
    return {
      ...opened,
      place: "the PostgreSQL that came with the demo",
      async close() {
        await opened.close();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
