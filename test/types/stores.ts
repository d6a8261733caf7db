import type { SessionStore } from "@tenure/core";
import { mongoStore } from "@tenure/mongo";
import { postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import { sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { Cluster, Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { DatabaseSync } from "node:sqlite";
import { Client, Pool } from "pg";
import { expectTypeOf } from "vitest";

export function everyStoreTakesTheDriversOwnClient(): void {
  expectTypeOf(redisStore(new Redis())).toExtend<SessionStore>();
  expectTypeOf(redisStore(new Cluster([]))).toExtend<SessionStore>();
  expectTypeOf(postgresStore(new Pool())).toExtend<SessionStore>();
  expectTypeOf(
    mongoStore(new MongoClient("mongodb://127.0.0.1").db().collection("sessions")),
  ).toExtend<SessionStore>();
  expectTypeOf(sqliteStore(new DatabaseSync(":memory:"))).toExtend<SessionStore>();
  expectTypeOf(sqliteStore(new BetterSqlite3(":memory:"))).toExtend<SessionStore>();
}

export async function invalidArgumentsDoNotCompile(store: SessionStore): Promise<void> {
  // @ts-expect-error: the store takes a client, not its address.
  redisStore("redis://127.0.0.1");
  // @ts-expect-error: the store takes a pool. A single client is for with().
  postgresStore(new Client());
  // @ts-expect-error: the store takes a collection, not a database.
  mongoStore(new MongoClient("mongodb://127.0.0.1").db());
  // @ts-expect-error: the store takes a connection, not a path.
  sqliteStore("sessions.db");
  // @ts-expect-error: there is no such option.
  redisStore(new Redis(), { ttl: 60 });
  // @ts-expect-error: the result is a string.
  const created: boolean = await store.create({ id: "id", userId: null, data: "", idle: 1, lifetime: 1 });
  void created;
  // @ts-expect-error: a new session has a lifetime.
  await store.create({ id: "id", userId: null, data: "", idle: 1 });
  // @ts-expect-error: there is no such change.
  await store.update("id", { user: "ada" });
}
