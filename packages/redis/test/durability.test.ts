import { canStart, startRedis } from "@tenure/servers";
import { afterAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { newId, newSession } from "./sessions.ts";

const here = await canStart("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

here.describe("a server that is killed and restarted", () => {
  test("keeps every change that it confirmed, with appendfsync always", async () => {
    await using own = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const store = redisStore(clients.redis(own.url));
    const userId = newId();
    const [kept, saved, ended, endedWithUser] = Array.from({ length: 4 }, () => newSession({ userId }));
    const other = newSession({ userId: newId() });
    for (const session of [kept, saved, ended, endedWithUser, other]) await store.create(session!);
    await store.update(saved!.id, { data: "saved", userId: other.userId });
    await store.revoke(ended!.id);
    await store.revokeUser(userId, { except: kept!.id });

    await own.kill();
    await own.start();

    await expect
      .poll(() => store.read(kept!.id).catch(String), { timeout: 20_000 })
      .toMatchObject({ id: kept!.id });
    await expect(store.read(saved!.id)).resolves.toMatchObject({ data: "saved", version: 2 });
    for (const { id } of [ended!, endedWithUser!]) {
      await expect(store.read(id)).resolves.toBeNull();
      await expect(store.create(newSession({ id }))).resolves.toBe("taken");
    }
    await expect(store.listUser(userId)).resolves.toMatchObject([{ id: kept!.id }]);
    await expect(store.revokeUser(other.userId!)).resolves.toBe(2);
  });

  test("loses everything without persistence, tombstones included", async () => {
    await using own = await startRedis();
    const store = redisStore(clients.redis(own.url));
    const [kept, ended] = [newSession(), newSession()];
    for (const session of [kept, ended]) await store.create(session);
    await store.revoke(ended.id);
    await own.kill();
    await own.start();
    await expect.poll(() => store.read(kept.id).catch(String), { timeout: 20_000 }).toBeNull();
    await expect(store.create(ended)).resolves.toBe("created");
  });
});
