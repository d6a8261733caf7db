import { inspect } from "node:util";
import { StoreError } from "@tenure/core";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeEach, expect, test } from "vitest";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const SECRET = "the data of a session";
let count = 0;

postgres.describe("postgresStore, when the database hides, refuses or changes rows", () => {
  let table: string;
  let admin: Pool;
  let owner: PostgresStore;
  const session = newSession({ id: "id", userId: "ada", data: SECRET });

  beforeEach(async () => {
    table = `${pools.table}_${(count += 1)}`;
    admin = pools.open();
    await migrate(admin, { table });
    owner = postgresStore(admin, { table });
    await owner.create(session);
  });

  /** Returns a store for a role that owns nothing and has only `privileges`. */
  const roleWith = async (privileges: string): Promise<PostgresStore> =>
    postgresStore(pools.open(await pools.asRole(privileges, { table })), { table });

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
    Array.fromAsync(store.scan()),
    store.sweep(),
  ];

  /** Checks that every call rejects with a StoreError without session data, and returns the errors. */
  const errorsOf = async (calls: readonly Promise<unknown>[]): Promise<string[]> => {
    const outcomes = await Promise.allSettled(calls);
    return outcomes.map((outcome) => {
      const error: unknown = outcome.status === "rejected" ? outcome.reason : outcome.value;
      expect(error).toBeInstanceOf(StoreError);
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(SECRET);
      return String(error);
    });
  };

  test.each([
    ["without a policy", ""],
    ["with a policy that allows reads", "create policy reading on TABLE for select using (true)"],
  ])(
    "while row level security applies %s, every call rejects with an error that says so, and changes nothing",
    async (_, policy) => {
      const store = await roleWith("select, insert, update, delete");
      expect(await store.read("id")).toMatchObject({ id: "id" });
      await admin.query(`alter table ${table} enable row level security; ${policy.replace("TABLE", table)}`);
      for (const message of await errorsOf(everyCall(store))) expect(message).toContain("row level security");
      await admin.query(`alter table ${table} disable row level security`);
      expect(await store.read("id")).toMatchObject({ id: "id", version: 1 });
      expect(await store.revokeUser("ada")).toBe(1);
    },
  );

  test.each([["select"], ["select, insert, delete"], ["insert, update, delete"]])(
    "for a role that may only %s, calls reject with an error that names the rights to grant",
    async (privileges) => {
      const store = await roleWith(privileges);
      const messages = await errorsOf([store.update("id", { userId: "bob" }), store.revokeUser("ada")]);
      for (const message of messages) expect(message).toContain("grant it select, insert, update and delete");
    },
  );

  for (const event of ["insert", "update"]) {
    test(`if a trigger cancels an ${event}, calls reject with an error that says so, and none hangs`, async () => {
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
      for (const message of await errorsOf(calls)) expect(message).toContain("trigger");
      expect(await owner.read("another")).toBeNull();
      expect(await owner.read("id")).toMatchObject({ version: 1, userId: "ada" });
    });
  }

  test("an error holds no session data, whatever PostgreSQL or a trigger quotes", async () => {
    await admin.query(`alter table ${table} add constraint short check (length(data) < 5) not valid`);
    const refused = await Promise.allSettled([owner.update("id", { data: `${SECRET}.` })]);
    expect(refused).toMatchObject([{ reason: { cause: { code: "23514", constraint: "short", table } } }]);
    await errorsOf([
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
    await errorsOf([owner.update("id", { data: SECRET.slice(0, 4) }), owner.update("id", {})]);
  });
});
