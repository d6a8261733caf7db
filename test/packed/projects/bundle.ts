import { expressApplication, expressDependencies } from "./express.ts";
import type { Project } from "./project.ts";

/**
 * `pg` loads `pg-native` only if an application asks for it. It is not installed, so the bundler must not
 * look for it.
 */
const build = "esbuild main.ts --bundle --minify --platform=node --external:pg-native --outfile=bundle.cjs";

export const bundle: Project = {
  title: "One file bundled by esbuild, with PostgreSQL and the migrations",
  start: { type: "commonjs", scripts: { build } },
  dependencies: () => [...expressDependencies, "@tenure/postgres", "pg", "@types/pg", "esbuild@0.28"],
  files: () => ({
    "application.ts": expressApplication,
    "main.ts": `import { migrate, postgresStore } from "@tenure/postgres";
import { Pool } from "pg";
import { application } from "./application";

async function main(): Promise<void> {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5000, query_timeout: 10_000 });
  // The table must not exist yet, so that only the migrations in the bundle can create it.
  const table = process.env.SESSIONS_TABLE!;
  const { rows } = await pool.query("select to_regclass($1) as found", [table]);
  if (rows[0].found !== null) throw new Error(table + " already exists");
  await migrate(pool, { table });
  application(postgresStore(pool, { table })).listen(Number(process.env.PORT), "127.0.0.1");
}
void main();
`,
  }),
  scripts: ["build"],
  application: { file: "bundle.cjs" },
};
