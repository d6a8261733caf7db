import { randomUUID } from "node:crypto";
import { Cluster, type Redis, ReplyError } from "ioredis";
import { type Finding, ok, problem, unknown, warning } from "../finding.ts";
import { primariesOf } from "./redis-client.ts";

/** Checks every primary. A finding that all primaries of a Cluster share is reported once. */
export async function checkRedis(client: Redis | Cluster, prefix: string): Promise<Finding[]> {
  const primaries = primariesOf(client);
  const health = client instanceof Cluster ? [await checkCluster(primaries)] : [];
  // The other checks send commands to every primary.
  if (health.some(({ status }) => status === "problem")) return health;
  const found = await Promise.all(primaries.map(checkNode));
  const findings =
    client instanceof Cluster ? [...merged(primaries, found), await checkClocks(primaries)] : found.flat();
  return [...health, ...findings, await checkPrivileges(client, prefix)];
}

/** Reports primaries that do not reply, and slots that no server serves. */
async function checkCluster(primaries: readonly Redis[]): Promise<Finding> {
  const check = "cluster";
  const remedy =
    "start the servers that are down, or move their slots: until then, calls on these slots fail";
  const replies = await Promise.allSettled(primaries.map((node) => node.cluster("INFO")));
  for (const [at, reply] of replies.entries()) {
    if (reply.status === "fulfilled") continue;
    const reason = reply.reason as Error;
    if (isRefused(reason)) return hidden(check, "CLUSTER INFO");
    return foundAt(primaries[at], problem(check, `does not reply: ${reason.message}`, remedy));
  }
  const served = replies.map((reply) =>
    reply.status === "fulfilled" ? Number(factsIn(reply.value).get("cluster_slots_ok")) : SLOTS,
  );
  const least = Math.min(...served);
  if (least >= SLOTS) return ok(check, `all ${SLOTS} slots are served`);
  return problem(check, `${SLOTS - least} of ${SLOTS} slots are not served`, remedy);
}

const SLOTS = 16_384;

async function checkNode(node: Redis): Promise<Finding[]> {
  const info = factsIn(await node.info().catch(() => ""));
  return [
    checkVersion(info),
    checkRole(info),
    await checkEviction(node, info),
    await checkPersistence(node, info),
    checkReplicas(info),
  ];
}

function checkVersion(info: Facts): Finding {
  const check = "version";
  const valkey = info.get("valkey_version");
  const version = valkey ?? info.get("redis_version");
  if (version === undefined) return hidden(check, "INFO");
  const name = valkey === undefined ? "Redis" : "Valkey";
  const least = valkey === undefined ? [7, 0] : [7, 2];
  if (isAtLeast(version, least)) return ok(check, `${name} ${version}`);
  return problem(check, `${name} ${version} is too old`, "use Redis 7 or later, or Valkey 7.2 or later");
}

function isAtLeast(version: string, [major = 0, minor = 0]: readonly number[]): boolean {
  const [theirs = 0, theirMinor = 0] = version.split(".").map(Number);
  return theirs > major || (theirs === major && theirMinor >= minor);
}

function checkRole(info: Facts): Finding {
  const check = "role";
  const role = info.get("role");
  if (role === undefined) return hidden(check, "INFO");
  if (role === "master") return ok(check, "this is a primary");
  return problem(
    check,
    "this is a replica, which may still show revoked sessions",
    "connect to the primary, or through redis+sentinel://",
  );
}

async function checkEviction(node: Redis, info: Facts): Promise<Finding> {
  const check = "eviction";
  const policy = info.get("maxmemory_policy") ?? (await setting(node, "maxmemory-policy"));
  if (policy === undefined) return hidden(check, "INFO and CONFIG");
  if (policy === "noeviction") return ok(check, "maxmemory-policy is noeviction");
  return problem(
    check,
    `maxmemory-policy is ${policy}: a full server evicts sessions, tombstones and user indexes`,
    "set maxmemory-policy noeviction, or give the sessions their own server",
  );
}

async function checkPersistence(node: Redis, info: Facts): Promise<Finding> {
  const check = "persistence";
  const remedy = "set appendonly yes, with appendfsync everysec or always";
  const aof = info.get("aof_enabled");
  if (aof === undefined) return hidden(check, "INFO");
  if (aof === "1") {
    const fsync = await setting(node, "appendfsync");
    if (fsync === undefined) return ok(check, "appendonly is on");
    if (fsync === "always") return ok(check, "appendonly, appendfsync always");
    const loss = (time: string): string =>
      `appendonly, appendfsync ${fsync}: a machine crash may undo the last ${time}, including revocations`;
    if (fsync === "everysec") return ok(check, loss("second"));
    return warning(check, loss("half minute"), remedy);
  }
  const save = await setting(node, "save");
  if (save === "") return warning(check, "none: a restart logs everybody out", remedy);
  const message = "at most snapshots: a restart revives sessions that were revoked after the last snapshot";
  return warning(check, message, remedy);
}

function checkReplicas(info: Facts): Finding {
  const check = "replicas";
  const count = Number(info.get("connected_slaves") ?? Number.NaN);
  if (Number.isNaN(count)) return hidden(check, "INFO");
  if (count === 0) return ok(check, "none");
  return ok(
    check,
    `${count}: a failover may undo writes that have not reached them, unless the store uses waitForReplicas`,
  );
}

/** In a Cluster, a login and its user's fence may be dated by the clocks of two servers. */
async function checkClocks(primaries: readonly Redis[]): Promise<Finding> {
  const check = "clocks";
  const offsets = await Promise.all(primaries.map(offsetOf));
  const latest = Math.max(...offsets.map(({ earliest }) => earliest));
  const earliest = Math.min(...offsets.map((offset) => offset.latest));
  // Bounds exclude the travel time of the replies, which is not skew.
  const skew = Math.round(latest - earliest);
  if (skew <= 500) {
    return ok(check, `the clocks of the primaries differ by ${Math.max(0, skew)} ms or less`);
  }
  return warning(
    check,
    `the clocks of the primaries differ by ${skew} ms: a login that close to "log out everywhere" may be refused, or survive`,
    "run NTP on every server of the Cluster",
  );
}

/** Returns how far a server's clock is ahead of this process's, at least and at most. */
async function offsetOf(node: Redis): Promise<{ readonly earliest: number; readonly latest: number }> {
  const askedAt = performance.now();
  const [seconds, microseconds] = await node.time();
  const now = Number(seconds) * 1000 + Number(microseconds) / 1000;
  return { earliest: now - performance.now(), latest: now - askedAt };
}

/** Runs every command of the store on a key that does not exist, which changes nothing. */
async function checkPrivileges(client: Redis | Cluster, prefix: string): Promise<Finding> {
  const check = "privileges";
  const key = `${prefix}s:doctor-${randomUUID()}`;
  const refused: string[] = [];
  for (const [name, args] of probes(key)) {
    try {
      await client.call(name, ...args);
    } catch (error) {
      if (isRefused(error)) refused.push(name.toLowerCase());
    }
  }
  for (const node of primariesOf(client)) {
    await node.scan("0", "MATCH", key, "COUNT", 1).catch((error: unknown) => {
      if (isRefused(error)) refused.push("scan");
    });
  }
  if (refused.length === 0) return ok(check, "all commands of the store are allowed");
  const commands = [...new Set(refused)];
  return problem(
    check,
    `the user may not run ${commands.join(", ")} on ${prefix}*`,
    `ACL SETUSER <user> ~${prefix}* ${commands.map((name) => `+${name}`).join(" ")}`,
  );
}

/** Other error replies say nothing about privileges: NOSCRIPT for EVALSHA, READONLY from a replica. */
function isRefused(error: unknown): boolean {
  if (!(error instanceof ReplyError)) throw error;
  return (error as Error).message.startsWith("NOPERM");
}

/** The commands of the ACL line in the README of @tenure/redis. SCAN is checked on each primary, and TIME by connecting. */
function probes(key: string): (readonly [name: string, args: readonly (string | number)[]])[] {
  return [
    ["GET", [key]],
    ["MGET", [key]],
    ["SET", [key, "", "XX"]],
    ["GETRANGE", [key, 0, 0]],
    ["SETRANGE", [key, 0, ""]],
    ["PEXPIREAT", [key, 1]],
    ["PEXPIRETIME", [key]],
    ["ZADD", [key, "XX", 0, "m"]],
    ["ZREM", [key, "m"]],
    ["ZRANGE", [key, 0, 0]],
    ["ZCARD", [key]],
    ["ZSCORE", [key, "m"]],
    ["ZRANDMEMBER", [key]],
    ["EVAL", ["return 1", 1, key]],
    ["EVALSHA", ["0".repeat(40), 1, key]],
  ];
}

/** `undefined`: the user may not read settings, or the server lacks this one. */
async function setting(node: Redis, name: string): Promise<string | undefined> {
  const reply: unknown = await node.config("GET", name).catch(() => undefined);
  return Array.isArray(reply) && typeof reply[1] === "string" ? reply[1] : undefined;
}

type Facts = ReadonlyMap<string, string>;

function factsIn(info: string): Facts {
  const lines = info.split(/\r?\n/).filter((line) => line.includes(":"));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
}

function hidden(check: string, commands: string): Finding {
  return unknown(check, `the user may not run ${commands}`);
}

function merged(primaries: readonly Redis[], found: readonly Finding[][]): Finding[] {
  const [first = []] = found;
  return first.flatMap((one, at) => {
    const each = found.map((findings) => findings[at] ?? one);
    if (each.every(({ message }) => message === one.message)) {
      return [{ ...one, message: `${one.message} (${each.length} primaries)` }];
    }
    return each.map((finding, index) => foundAt(primaries[index], finding));
  });
}

function foundAt(node: Redis | undefined, { message, ...finding }: Finding): Finding {
  const { host, port } = node?.options ?? {};
  return { ...finding, message: `${host}:${port}: ${message}` };
}
