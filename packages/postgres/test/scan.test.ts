import { server } from "@tenure/servers";
import { expect, test } from "vitest";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

postgres.describe("a scan", () => {
  test("has every live session of all pages beside rows that are not sessions, and rejects at its end", async () => {
    const store = await pools.store();
    const sessions = Array.from({ length: 450 }, () => newSession({ userId: "user" }));
    await Promise.all(sessions.map((session) => store.create(session)));
    const [forEver, alwaysUsed, unversioned, ...others] = sessions.map(({ id }) => id);
    // Rows written by hand, on different pages.
    const admin = pools.open({ max: 1 });
    const edit = (id: string, columns: string) =>
      admin.query(`update ${pools.table} set ${columns} where id = $1`, [id]);
    await edit(forEver!, "ends_at = 'infinity', expires_at = 'infinity'");
    await edit(alwaysUsed!, "authenticated_at = '-infinity', touched_at = 'infinity'");
    await edit(unversioned!, "version = 9223372036854775807");
    const tombstone = others.pop()!;
    await store.revoke(tombstone);
    await edit(tombstone, "expires_at = 'infinity'");

    const found: string[] = [];
    const scanning = async () => {
      for await (const { id } of store.scan()) found.push(id);
    };
    await expect(scanning()).rejects.toMatchObject({ name: "StoreError", operation: "scan" });
    expect(found.toSorted()).toEqual(others.toSorted());
  });
});
