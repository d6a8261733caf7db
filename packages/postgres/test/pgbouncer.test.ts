import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { testStore } from "@tenure/conformance";
import { migrate, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { Client, Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
/** As distributions install it. */
const PGBOUNCER = "pgbouncer";
const installed = spawnSync(PGBOUNCER, ["--version"]).status === 0;
const pools = poolsOn(postgres.url);
const { table } = pools;

(installed ? postgres.describe : describe.skip)("postgresStore through PgBouncer in transaction mode", () => {
  let bouncer: Bouncer;
  beforeAll(async () => {
    await pools.store();
    bouncer = await startBouncer(postgres.url);
  });
  afterAll(() => bouncer.stop());

  testStore(
    { describe, test },
    {
      // Few server connections for many client connections: no two statements in a row find the same one.
      open: () => postgresStore(pools.open({ connectionString: bouncer.url }), { table }),
      unreachable: null,
    },
  );

  test("migrate works through it", async () => {
    const pool = new Pool({ connectionString: bouncer.url });
    const name = { table: `bounced_${process.pid}` };
    await Promise.all([migrate(pool, name), migrate(pool, name)]);
    expect(await postgresStore(pool, name).read("unknown")).toBeNull();
    await pool.end();
  });

  test("two stores whose statements meet on one server connection are both answered", async () => {
    const stores = Array.from({ length: 6 }, () =>
      postgresStore(pools.open({ connectionString: bouncer.url }), { table }),
    );
    for (let round = 0; round < 20; round += 1) {
      const reads = stores.map((store, index) => store.read(`unknown ${round} ${index}`));
      expect(await Promise.all(reads)).toEqual(stores.map(() => null));
    }
  });

  test("touches commit lazily through it, and leave the connection as they found it", async () => {
    const pool = pools.open({ connectionString: bouncer.url, max: 1 });
    const store = postgresStore(pool, { table });
    await store.create({ id: "bounced", userId: null, data: "", idle: 60_000, lifetime: 60_000 });
    for (let touch = 0; touch < 20; touch += 1) {
      expect(await store.update("bounced", {})).toBe("updated");
      expect((await pool.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    }
  });
});

interface Bouncer {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

async function startBouncer(target: string): Promise<Bouncer> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(target);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "tenure-pgbouncer-"));
  const config = join(folder, "pgbouncer.ini");
  writeFileSync(
    config,
    `[databases]
* = host=${hostname} port=${serverPort} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
logfile = ${join(folder, "log")}
`,
  );
  chmodSync(folder, 0o777);
  chmodSync(config, 0o644);
  // It refuses to run as root.
  const child = spawn(PGBOUNCER, [...(process.getuid?.() === 0 ? ["-u", "nobody"] : []), config], {
    stdio: "ignore",
  });
  const url = `postgres://${username}@127.0.0.1:${port}${pathname}`;
  for (let attempts = 0; ; attempts += 1) {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.end();
      break;
    } catch (error) {
      if (attempts === 100) throw error;
      await sleep(50);
    }
  }
  return {
    url,
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
