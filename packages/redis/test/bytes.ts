import { randomBytes } from "node:crypto";
import { describeRedis, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { redisStore } from "../src/index.ts";

/**
 * Prints how much of the server's memory a session takes, compared with connect-redis 10 and the same data:
 * `SET sess:<token> <data with its cookie> EX 1800`. Each user has ten sessions. Only Tenure indexes them.
 */
const sessions = Number(process.argv[2] ?? 20_000);
const cookie = {
  originalMaxAge: 1_800_000,
  expires: "2026-11-23T18:00:00.000Z",
  secure: true,
  httpOnly: true,
  path: "/",
  sameSite: "lax",
};

await using own = await startRedis();
const client = new Redis(own.url);
console.log(`${await describeRedis(own.url)}, ${sessions} sessions, bytes each:`);
console.log("bytes of data  connect-redis  @tenure/redis  its tombstone");
for (const size of [200, 900, 4000]) {
  const data =
    JSON.stringify({ userId: "user-12345", cookie, padding: "x".repeat(size) }).slice(0, size - 2) + '"}';
  const connectRedis = await bytesPerSession(() =>
    client.set(`sess:${randomBytes(24).toString("base64url")}`, data, "EX", 1800),
  );
  const store = redisStore(client);
  const ids: string[] = [];
  const tenure = await bytesPerSession(
    async (n) => {
      const id = randomBytes(32).toString("base64url");
      ids.push(id);
      const times = { idle: 1_800_000, lifetime: 43_200_000 };
      await store.create({ id, userId: `user-${n - (n % 10)}`, data, ...times });
    },
    async () => {
      while (ids.length > 0) await Promise.all(ids.splice(-100).map((id) => store.revoke(id)));
    },
  );
  const columns = [data.length, connectRedis.created, tenure.created, tenure.revoked];
  console.log(columns.map((bytes) => String(Math.round(bytes)).padStart(13)).join("  "));
}
client.disconnect();

/** Measures the memory per session after all are created, and again after all are revoked. */
async function bytesPerSession(
  create: (n: number) => Promise<unknown>,
  revokeAll?: () => Promise<void>,
): Promise<{ created: number; revoked: number }> {
  await client.flushall("SYNC");
  const before = await usedMemory();
  for (let n = 0; n < sessions; n += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => create(n + i)));
  }
  const created = ((await usedMemory()) - before) / sessions;
  await revokeAll?.();
  return { created, revoked: ((await usedMemory()) - before) / sessions };
}

async function usedMemory(): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]);
}
