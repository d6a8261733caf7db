import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { StoreError } from "@tenure/core";
import { canStart, server, startMongo } from "@tenure/servers";
import type { Collection } from "mongodb";
import { beforeEach, expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { connect, errorOf, knows, skipLoudly } from "./clients.ts";
import { listen, turn } from "./warnings.ts";

const mongo = await server("mongo");
const own = await canStart("mongo");

/** The actions that the README says to grant. */
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const ACTIONS: string[] = JSON.parse(/actions: (\[.*?\])/.exec(readme)![1]!);

own.describe("A user of a MongoDB that asks who one is", () => {
  beforeEach(async (context) => {
    if (!(await knows(mongo.url, { rolesInfo: 1 }))) skipLoudly(context, `${mongo.how} has no roles`);
  });

  test("with the README's role can do all that the store does, and nothing that it doesn't", async (context) => {
    await using guarded = await startMongo({ auth: true });
    const collection = await collectionAs(guarded.url, ACTIONS);
    await ensureIndexes(collection);
    const warnings = listen(collection.namespace, context);
    const store = mongoStore(collection);
    const [one, two] = [fresh(), fresh()];
    expect(await store.create(one)).toBe("created");
    expect(await store.create({ ...two, authenticatedAt: await store.now() })).toBe("created");
    expect(await store.create(one)).toBe("taken");
    expect(await store.read(one.id)).toMatchObject({ id: one.id });
    const updates = [one, two, fresh()].map(({ id }) => store.update(id, { data: "new" }));
    expect(await Promise.all(updates)).toEqual(["updated", "updated", "gone"]);
    expect(await store.listUser("u")).toHaveLength(2);
    expect(await Array.fromAsync(store.scan())).toHaveLength(2);
    expect(await store.revoke(one.id)).toBe(true);
    expect(await store.revoke(randomUUID())).toBe(false);
    expect(await store.revokeUser("u")).toBe(1);
    await turn();
    expect(warnings).toEqual([]);
    await expect(collection.deleteMany({})).rejects.toMatchObject({ code: 13 });
  });

  test("who may not list indexes is told so, and served", async (context) => {
    await using guarded = await startMongo({ auth: true });
    const few = ACTIONS.filter((action) => !action.includes("ndex"));
    const collection = await collectionAs(guarded.url, few);
    const warnings = listen(collection.namespace, context);
    expect(await mongoStore(collection).create(fresh())).toBe("created");
    await turn();
    expect(warnings).toEqual([expect.stringContaining("listIndexes")]);
  });

  test("who may only read is a StoreError that says what to grant", async () => {
    await using guarded = await startMongo({ auth: true });
    const store = mongoStore(await collectionAs(guarded.url, ["find", "listIndexes"]));
    expect(await store.read(randomUUID())).toBeNull();
    const refused = await errorOf(store.create(fresh()));
    expect(refused).toBeInstanceOf(StoreError);
    expect(refused).toMatchObject({ message: expect.stringContaining("README lists the actions to grant") });
  });
});

/** Returns a collection of a client whose user has only these actions. */
async function collectionAs(url: string, actions: readonly string[]): Promise<Collection> {
  const name = randomUUID();
  const database = connect(url).db("shop");
  const privileges = [{ resource: { db: "shop", collection: name }, actions }];
  await database.command({ createRole: name, privileges, roles: [] });
  await database.command({ createUser: name, pwd: "secret", roles: [{ role: name, db: "shop" }] });
  const client = connect(url, { auth: { username: name, password: "secret" }, authSource: "shop" });
  return client.db("shop").collection(name);
}

function fresh() {
  return { id: randomUUID(), userId: "u", data: "", idle: HOUR, lifetime: HOUR };
}

const HOUR = 60 * 60 * 1000;
