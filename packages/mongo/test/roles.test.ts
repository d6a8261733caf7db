import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { StoreError } from "@tenure/core";
import { canStart, type OwnServer, server, startMongo } from "@tenure/servers";
import type { Collection } from "mongodb";
import { afterAll, beforeEach, expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { connect, errorOf, supportsCommand, skipLoudly } from "./clients.ts";
import { createSession, newSession } from "./sessions.ts";
import { collectWarnings, nextTurn } from "./warnings.ts";

const mongo = await server("mongo");
const own = await canStart("mongo");

/** The actions that the README says to grant. */
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const ACTIONS: string[] = JSON.parse(/actions: (\[.*?\])/.exec(readme)![1]!);

/** One server for all tests. Each uses its own user and collection. */
let guarded: Promise<OwnServer> | undefined;
afterAll(async () => (await guarded)?.[Symbol.asyncDispose]());

own.describe("On a MongoDB with authentication", () => {
  beforeEach(async (context) => {
    if (!(await supportsCommand(mongo.url, { rolesInfo: 1 })))
      skipLoudly(context, `${mongo.how} has no roles`);
  });

  test("a user with the README's role can do everything that the store does, and may not delete sessions", async (context) => {
    const collection = await collectionAs(ACTIONS);
    await ensureIndexes(collection);
    const warnings = collectWarnings(collection.namespace, context);
    const store = mongoStore(collection);
    const [one, two] = [newSession({ userId: "u" }), newSession({ userId: "u" })];
    expect(await store.create(one)).toBe("created");
    expect(await store.create({ ...two, authenticatedAt: await store.now() })).toBe("created");
    expect(await store.create(one)).toBe("taken");
    expect(await store.read(one.id)).toMatchObject({ id: one.id });
    const updates = [one, two, newSession()].map(({ id }) => store.update(id, { data: "new" }));
    expect(await Promise.all(updates)).toEqual(["updated", "updated", "gone"]);
    expect(await store.listUser("u")).toHaveLength(2);
    expect(await Array.fromAsync(store.scan())).toHaveLength(2);
    expect(await store.revoke(one.id)).toBe(true);
    expect(await store.revoke(randomUUID())).toBe(false);
    expect(await store.revokeUser("u")).toBe(1);
    await nextTurn();
    expect(warnings).toEqual([]);
    await expect(collection.deleteMany({})).rejects.toMatchObject({ code: 13 });
  });

  test("a user who may not list indexes can use the store, with a warning", async (context) => {
    const actions = ACTIONS.filter((action) => !action.includes("ndex"));
    const collection = await collectionAs(actions);
    const warnings = collectWarnings(collection.namespace, context);
    await createSession(mongoStore(collection), { userId: "u" });
    await nextTurn();
    expect(warnings).toEqual([expect.stringContaining("listIndexes")]);
  });

  test("a user who may only read gets a StoreError that says what to grant", async () => {
    const store = mongoStore(await collectionAs(["find", "listIndexes"]));
    expect(await store.read(randomUUID())).toBeNull();
    const refused = await errorOf(store.create(newSession({ userId: "u" })));
    expect(refused).toBeInstanceOf(StoreError);
    expect(refused).toMatchObject({ message: expect.stringContaining("README lists the actions to grant") });
  });
});

/** Returns a collection of a client whose user has only these actions. */
async function collectionAs(actions: readonly string[]): Promise<Collection> {
  const { url } = await (guarded ??= startMongo({ auth: true }));
  const name = randomUUID();
  const database = connect(url).db("shop");
  const privileges = [{ resource: { db: "shop", collection: name }, actions }];
  await database.command({ createRole: name, privileges, roles: [] });
  await database.command({ createUser: name, pwd: "secret", roles: [{ role: name, db: "shop" }] });
  const client = connect(url, { auth: { username: name, password: "secret" }, authSource: "shop" });
  return client.db("shop").collection(name);
}
