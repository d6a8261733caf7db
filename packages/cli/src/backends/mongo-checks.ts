import type { Collection, Document, MongoClient } from "mongodb";
import { type Finding, ok, problem, unknown, warning } from "../finding.ts";

export async function checkMongo(client: MongoClient, collection: Collection): Promise<Finding[]> {
  const admin = client.db("admin");
  const [hello, build] = await Promise.all([admin.command({ hello: 1 }), admin.command({ buildInfo: 1 })]);
  const options = await indexesOf(collection);
  return [
    checkVersion(build),
    checkRole(hello),
    await checkPersistence(client),
    ...checkIndexes(collection, options),
    await checkPrivileges(client, collection),
  ];
}

function checkVersion(build: Document): Finding {
  const version = String(build["version"]);
  const isFerret = build["ferretdb"] !== undefined;
  const name = isFerret ? `FerretDB, as MongoDB ${version}` : `MongoDB ${version}`;
  if (Number(version.split(".")[0]) >= 6) return ok("version", name);
  return problem("version", `${name} is too old`, "use MongoDB 6 or later");
}

function checkRole(hello: Document): Finding {
  const check = "role";
  if (hello["isWritablePrimary"] !== true && hello["ismaster"] !== true) {
    return problem(
      check,
      "this is not the primary, and may still show revoked sessions",
      "list the members of the replica set in the URL, without directConnection",
    );
  }
  if (hello["msg"] === "isdbgrid") return ok(check, "a sharded cluster");
  if (typeof hello["setName"] === "string") return ok(check, `the primary of the set ${hello["setName"]}`);
  return warning(
    check,
    "a single server, not a replica set: it has no transactions, and its disk is the only copy",
    "make it a replica set, if revocations must survive the loss of a disk",
  );
}

async function checkPersistence(client: MongoClient): Promise<Finding> {
  const check = "persistence";
  try {
    const { storageEngine } = await client.db("admin").command({ serverStatus: 1 });
    if (storageEngine === undefined) return unknown(check, "the server does not report its storage engine");
    const { name, persistent } = storageEngine as { readonly name: string; readonly persistent?: boolean };
    if (persistent !== false) return ok(check, `storage engine ${name}`);
    return problem(
      check,
      `the storage engine ${name} is not persistent: a restart logs everybody out`,
      "use the storage engine wiredTiger",
    );
  } catch {
    return unknown(check, "the user may not run serverStatus");
  }
}

/** Returns the collection's indexes. `undefined`: the user may not list them. */
async function indexesOf(collection: Collection): Promise<readonly Document[] | undefined> {
  try {
    return await collection.listIndexes().toArray();
  } catch (error) {
    if (hasCode(error, 26)) return [];
    if (hasCode(error, 13)) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, code: number): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function checkIndexes({ namespace }: Collection, present: readonly Document[] | undefined): Finding[] {
  const check = "indexes";
  const remedy = "run tenure migrate";
  if (present === undefined) {
    return [{ ...unknown(check, "the user lacks the action listIndexes"), remedy: "grant it" }];
  }
  if (present.length === 0) return [problem(check, `${namespace} does not exist`, remedy)];
  const findings: Finding[] = [];
  const has = (key: object, isRight: (index: Document) => boolean): boolean =>
    present.some((index) => JSON.stringify(index["key"]) === JSON.stringify(key) && isRight(index));
  if (!has({ userId: 1, _id: 1 }, ({ hidden }) => hidden !== true)) {
    const message =
      "no index by user: listing a user's sessions, or logging a user out everywhere, reads every session";
    findings.push(problem(check, message, remedy));
  }
  if (!has({ endsAt: 1 }, ({ expireAfterSeconds }) => expireAfterSeconds === 0)) {
    findings.push(problem(check, "no TTL index on endsAt: dead sessions are never removed", remedy));
  }
  if (present.some(({ name, collation }) => name === "_id_" && collation !== undefined)) {
    const message = "the collection has its own collation, in which different ids can be equal";
    findings.push(problem("collation", message, "use a collection without a collation"));
  }
  return findings.length > 0 ? findings : [ok(check, "by user, and the TTL index")];
}

interface Privilege {
  readonly resource: { readonly db?: string; readonly collection?: string; readonly anyResource?: boolean };
  readonly actions: readonly string[];
}

async function checkPrivileges(client: MongoClient, collection: Collection): Promise<Finding> {
  const check = "privileges";
  const { dbName, collectionName } = collection;
  let reply: Document;
  try {
    reply = await client.db("admin").command({ connectionStatus: 1, showPrivileges: true });
  } catch {
    return unknown(check, "the server does not report the user's privileges");
  }
  const { authenticatedUsers = [], authenticatedUserPrivileges: privileges } = (reply["authInfo"] ?? {}) as {
    readonly authenticatedUsers?: readonly unknown[];
    readonly authenticatedUserPrivileges?: readonly Privilege[];
  };
  if (authenticatedUsers.length === 0) {
    return warning(
      check,
      "the connection is not authenticated: anyone who can reach the server can read and change sessions",
      "turn on access control",
    );
  }
  if (privileges === undefined) return unknown(check, "the server does not report the user's privileges");
  const granted = new Set(
    privileges
      .filter(({ resource: { anyResource, db, collection: name } }) => {
        const isOurs = (db === "" || db === dbName) && (name === "" || name === collectionName);
        return anyResource === true || isOurs;
      })
      .flatMap(({ actions }) => actions),
  );
  const lacking = ACTIONS.filter((action) => !granted.has(action));
  if (lacking.length === 0) return ok(check, ACTIONS.join(", "));
  return problem(
    check,
    `the user lacks ${lacking.join(", ")} on ${collection.namespace}`,
    "grant the role in the README of @tenure/mongo, under Access",
  );
}

const ACTIONS = ["find", "insert", "update", "listIndexes"];
