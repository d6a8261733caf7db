import { server } from "@tenure/servers";
import { expect, test } from "vitest";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

postgres.describe("postgresStore.scan", () => {
  test("yields every live session of all pages if some rows are not valid sessions, and then rejects", async () => {
    const store = await pools.store();
    const sessions = Array.from({ length: 450 }, () => newSession({ userId: "user" }));
    await Promise.all(sessions.map((session) => store.create(session)));
    const [endless, alwaysUsed, hugeVersion, ...others] = sessions.map(({ id }) => id);
    // Rows edited by hand, on different pages.
    const admin = pools.open({ max: 1 });
    const edit = (id: string, columns: string) =>
      admin.query(`update ${pools.table} set ${columns} where id = $1`, [id]);
    await edit(endless!, "ends_at = 'infinity', expires_at = 'infinity'");
    await edit(alwaysUsed!, "authenticated_at = '-infinity', touched_at = 'infinity'");
    await edit(hugeVersion!, "version = 9223372036854775807");
    const tombstone = others.pop()!;
    await store.revoke(tombstone);
    await edit(tombstone, "expires_at = 'infinity'");

    const scanned: string[] = [];
    const scan = async () => {
      for await (const { id } of store.scan()) scanned.push(id);
    };
    await expect(scan()).rejects.toMatchObject({ name: "StoreError", operation: "scan" });
    expect(scanned.toSorted()).toEqual(others.toSorted());
  });
});
