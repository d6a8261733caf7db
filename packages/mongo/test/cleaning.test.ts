import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { server } from "@tenure/servers";
import { MongoServerError } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, newCollection } from "./clients.ts";
import { createSession, HOUR } from "./sessions.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  on.describe.concurrent(`The TTL monitor of ${name}`, () => {
    test(
      "deletes the sessions, tombstones and fences that are past their end, and no others",
      { timeout: 300_000 },
      async () => {
        const client = connect(on.url);
        // The TTL monitor wakes once a minute, or once a second if the server allows that setting.
        await client
          .db("admin")
          .command({ setParameter: 1, ttlMonitorSleepSecs: 1 })
          .catch((error: unknown) => expect(error).toBeInstanceOf(MongoServerError));
        const collection = await newCollection(client);
        const store = mongoStore(collection);
        const brief = mongoStore(collection, { tombstoneMinimum: 1 });
        const session = { userId: "u", data: "", idle: 1000, lifetime: 1000 };
        const long = { ...session, idle: HOUR, lifetime: HOUR };

        const gone = ["ended", "revoked", "unknown, revoked"].map((what) => `${what} ${randomUUID()}`);
        await createSession(brief, { ...session, id: gone[0]! });
        await createSession(brief, { ...session, id: gone[1]! });
        await brief.revoke(gone[1]!);
        await brief.revoke(gone[2]!);
        const kept = ["alive", "idle", "tombstone"].map((what) => `${what} ${randomUUID()}`);
        await createSession(store, { ...long, id: kept[0]! });
        await createSession(store, { ...long, id: kept[1]!, idle: 1 });
        await createSession(store, { ...session, id: kept[2]! });
        await store.revoke(kept[2]!);

        await brief.revokeUser("x");
        await store.revokeUser("y");

        const left = () => collection.distinct("_id", { _id: { $type: "string" } as never });
        const fences = () => collection.countDocuments({ fence: { $exists: true } });
        while ((await fences()) > 1) await sleep(500);
        while ((await left()).some((id) => gone.includes(String(id)))) await sleep(500);
        expect(new Set((await left()).map(String))).toEqual(new Set(kept));
        expect(await fences()).toBe(1);
        expect(await store.read(kept[0]!)).not.toBeNull();
        expect(await store.create({ ...long, id: kept[2]! })).toBe("taken");
      },
    );
  });
}
