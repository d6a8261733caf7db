import { inspect } from "node:util";
import { StoreError } from "@tenure/core";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeEach, expect, test } from "vitest";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;
const SECRET = "the data of a session";
let count = 0;

postgres.describe("postgresStore, when the database hides, refuses or changes rows", () => {
  let table: string;
  let admin: Pool;
  let owner: PostgresStore;
  const session = { id: "id", userId: "ada", data: SECRET, idle: HOUR, lifetime: HOUR };

  beforeEach(async () => {
    table = `${pools.table}_${(count += 1)}`;
    admin = pools.open();
    await migrate(admin, { table });
    owner = postgresStore(admin, { table });
    await owner.create(session);
  });

  /** Returns a store for a role that owns nothing and has only `privileges`. */
  const roleWith = async (privileges: string): Promise<PostgresStore> => {
    const user = `role_${process.pid}_${(count += 1)}`;
    await admin.query(
      `create role ${user} login password 'plain'; grant ${privileges} on ${table} to ${user}`,
    );
    const { hostname: host, port, pathname } = new URL(postgres.url);
    const address = { host, port: Number(port), database: pathname.slice(1) };
    return postgresStore(
      // A connection string would override these.
      pools.open({ ...address, user, password: "plain", connectionString: undefined }),
      { table },
    );
  };

  const everyCall = (store: PostgresStore): Promise<unknown>[] => [
    store.create({ ...session, id: "another" }),
    store.create({ ...session, id: "anonymous", userId: null }),
    store.read("id"),
    store.update("id", {}),
    store.update("id", { data: SECRET }),
    store.update("id", { userId: "bob" }),
    store.revoke("id"),
    store.revokeUser("ada"),
    store.listUser("ada"),
    all(store.scan()),
    store.sweep(),
  ];

  const storeErrors = async (calls: readonly Promise<unknown>[]): Promise<string[]> => {
    const outcomes = await Promise.allSettled(calls);
    return outcomes.map((outcome) => {
      const error: unknown = outcome.status === "rejected" ? outcome.reason : outcome.value;
      expect(error).toBeInstanceOf(StoreError);
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(SECRET);
      return String(error);
    });
  };

  test("under row level security every call is an error that says so, and the session is there once it is off", async () => {
    const store = await roleWith("select, insert, update, delete");
    expect(await store.read("id")).toMatchObject({ id: "id" });
    await admin.query(`alter table ${table} enable row level security`);
    for (const message of await storeErrors(everyCall(store)))
      expect(message).toContain("row level security");
    await admin.query(`alter table ${table} disable row level security`);
    expect(await store.read("id")).toMatchObject({ id: "id", version: 1 });
    expect(await store.revokeUser("ada")).toBe(1);
  });

  test("rows that may be read and not locked are an error", async () => {
    const store = await roleWith("select, insert, update, delete");
    await admin.query(
      `alter table ${table} enable row level security; create policy reading on ${table} for select using (true)`,
    );
    expect(await storeErrors(everyCall(store))).toHaveLength(11);
  });

  test.each([["select"], ["select, insert, delete"], ["insert, update, delete"]])(
    "a role that may only %s gets an error that names the rights to grant",
    async (privileges) => {
      const store = await roleWith(privileges);
      const messages = await storeErrors([store.update("id", { userId: "bob" }), store.revokeUser("ada")]);
      for (const message of messages) expect(message).toContain("grant it select, insert, update and delete");
    },
  );

  for (const event of ["insert", "update"]) {
    test(`a trigger that cancels an ${event} is an error, and no call hangs`, async () => {
      await admin.query(
        `create function ${table}_cancel() returns trigger language plpgsql as 'begin return null; end'`,
      );
      await admin.query(
        `create trigger cancel before ${event} on ${table} for each row execute function ${table}_cancel()`,
      );
      const calls =
        event === "insert"
          ? [
              owner.create({ ...session, id: "another" }),
              owner.create({ ...session, id: "third", userId: null }),
              owner.revoke("unknown"),
            ]
          : [
              owner.create({ ...session, id: "another" }),
              owner.update("id", {}),
              owner.update("id", { data: SECRET }),
              owner.update("id", { userId: "bob" }),
              owner.revoke("id"),
              owner.revokeUser("ada"),
            ];
      for (const message of await storeErrors(calls)) expect(message).toContain("trigger");
      expect(await owner.read("another")).toBeNull();
      expect(await owner.read("id")).toMatchObject({ version: 1, userId: "ada" });
    });
  }

  test("an error holds no data, whatever PostgreSQL or a trigger quotes", async () => {
    await admin.query(`alter table ${table} add constraint short check (length(data) < 5) not valid`);
    const refused = await Promise.allSettled([owner.update("id", { data: `${SECRET}.` })]);
    expect(refused).toMatchObject([{ reason: { cause: { code: "23514", constraint: "short", table } } }]);
    await storeErrors([
      owner.update("id", { data: `${SECRET}.` }),
      ...Array.from({ length: 5 }, (_, n) => owner.create({ ...session, id: `new ${n}` })),
    ]);
    await admin.query(
      `create function ${table}_quote() returns trigger language plpgsql as $$ begin
         raise exception 'not %', new.data using errcode = '42000', detail = new.data, hint = new.data, constraint = 'a name'; end $$`,
    );
    await admin.query(
      `create trigger quote before update on ${table} for each row execute function ${table}_quote()`,
    );
    await storeErrors([owner.update("id", { data: SECRET.slice(0, 4) }), owner.update("id", {})]);
  });
});

async function all<Each>(each: AsyncIterable<Each>): Promise<Each[]> {
  const found: Each[] = [];
  for await (const one of each) found.push(one);
  return found;
}
