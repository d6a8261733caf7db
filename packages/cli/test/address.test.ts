import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { addressOf, secretsIn } from "../src/address.ts";
import { tenure } from "./tenure.ts";

describe("the URL of a store", () => {
  test("can name a Redis server", () => {
    expect(addressOf("rediss://ada:p%40ss@[::1]:7000/2")).toMatchObject({
      topology: "standalone",
      tls: true,
      hosts: [{ host: "::1", port: 7000 }],
      username: "ada",
      password: "p@ss",
      db: 2,
      label: "rediss://ada:***@[::1]:7000/2",
    });
  });

  test("can name Sentinels and the primary that they monitor", () => {
    const url = "redis+sentinel://:pass@10.0.0.1,10.0.0.2:26380/mymaster/1?sentinelPassword=other";
    expect(addressOf(url)).toMatchObject({
      topology: "sentinel",
      hosts: [
        { host: "10.0.0.1", port: 26_379 },
        { host: "10.0.0.2", port: 26_380 },
      ],
      primary: "mymaster",
      db: 1,
      password: "pass",
      sentinelPassword: "other",
      label: "redis+sentinel://:***@10.0.0.1,10.0.0.2:26380/mymaster/1",
    });
  });

  test("can name several nodes of a Cluster", () => {
    expect(addressOf("redis+cluster://10.0.0.1:7000,10.0.0.2:7001")).toMatchObject({
      topology: "cluster",
      hosts: [
        { host: "10.0.0.1", port: 7000 },
        { host: "10.0.0.2", port: 7001 },
      ],
    });
  });

  test.each([
    ["sqlite:///var/app/sessions.db", "/var/app/sessions.db"],
    ["sqlite:sessions", "sessions"],
    ["./data/sessions.sqlite3", "./data/sessions.sqlite3"],
    ["C:\\data\\sessions.db", "C:\\data\\sessions.db"],
  ])("names a SQLite file: %s", (url, path) => {
    expect(addressOf(url)).toEqual({ backend: "sqlite", path, label: path });
  });

  test("can name a PostgreSQL or MongoDB server", () => {
    expect(addressOf("postgresql://ada:pass@db/shop?sslmode=require")).toMatchObject({
      backend: "postgres",
      label: "postgresql://ada:***@db/shop",
    });
    expect(addressOf("mongodb+srv://ada:pass@cluster.example/shop?authSource=admin")).toMatchObject({
      backend: "mongo",
      database: "shop",
      label: "mongodb+srv://ada:***@cluster.example/shop",
    });
  });
});

test("the secrets of a URL are its password, as written and decoded, and the values of its parameters", () => {
  expect(secretsIn("postgres://ada:p%40ss@db/shop").toSorted()).toEqual(
    ["p%40ss", "p@ss", "postgres://ada:p%40ss@db/shop", "postgres://ada:p@ss@db/shop"].toSorted(),
  );
  expect(secretsIn("redis+sentinel://a/mymaster?sentinelPassword=s3cret")).toContain("s3cret");
  expect(secretsIn("redis://127.0.0.1:6379/0")).toEqual([]);
});

describe("a wrong command line exits with code 2, prints nothing on stdout, and prints no password:", () => {
  test.each<[title: string, args: string[], says: string]>([
    ["no URL", ["count"], "TENURE_STORE"],
    ["a table in a SQLite file", ["count", "--store", "s3cret.db", "--table", "t"], "has no --table"],
    ["a SQLite store without a file", ["count", "--store", "sqlite://"], "Name the file"],
    ["another scheme", ["count", "--store", "mysql://ada:s3cret@db/shop"], "Unknown kind of store: mysql"],
    ["no scheme", ["count", "--store", "s3cret"], "not the URL"],
    ["Sentinels without a primary", ["count", "--store", "redis+sentinel://:s3cret@a,b"], "Name the primary"],
    ["two hosts of one Redis", ["count", "--store", "redis://:s3cret@a,b"], "takes one host"],
    ["a parameter", ["count", "--store", "redis://a?password=s3cret"], "Unknown parameter"],
    ["a database of a Cluster", ["count", "--store", "redis+cluster://:s3cret@a/1"], "has only 0"],
    ["MongoDB without a database", ["count", "--store", "mongodb://ada:s3cret@db"], "Name the database"],
    ["MongoDB without a collection", ["count", "--store", "mongodb://ada:s3cret@db/shop"], "--collection"],
    ["a table in Redis", ["count", "--store", "redis://:s3cret@a", "--table", "t"], "has no --table"],
    ["a / in a password", ["count", "--store", "postgres://ada:pw/s3cret@db/shop"], "as %2F"],
    ["a ? in a password", ["count", "--store", "redis://:pw?s3cret@db"], "as %2F"],
    ["a URL for a command", ["redis://:s3cret@db", "count"], "unknown command"],
    ["a token for an option", ["list", `-${"A".repeat(21)}.s3cret${"B".repeat(37)}`], "unknown option"],
    ["an unknown command", ["frobnicate"], "unknown command"],
    ["an unknown option", ["count", "--frob"], "unknown option"],
    ["no user", ["list"], "missing required argument"],
    ["no package to import from", ["import", "--store", "redis://:s3cret@a"], "--from"],
    ["another package to import from", ["import", "--from", "memorystore"], "Allowed choices"],
    ["a number without a unit", ["count", "--tombstone-minimum", "5"], "--tombstone-minimum must be"],
  ])("%s", async (_title, args, says) => {
    const ran = await tenure(args);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining(says) });
    expect(ran.err).not.toContain("s3cret");
  });
});

test("--help exits with code 0 and lists every command, every kind of URL and every exit code", async () => {
  const { code, out } = await tenure(["--help"]);
  expect(code).toBe(0);
  for (const word of ["doctor", "migrate", "list", "revoke", "revoke-user", "revoke-all", "sweep", "count"])
    expect(out).toContain(`\n  ${word} `);
  for (const word of ["import", "redis+sentinel://", "redis+cluster://", "postgres://", "mongodb://"])
    expect(out).toContain(word);
  expect(out).toContain("Exit codes:");
});

test.each([
  ["redis://ada:s3cret@127.0.0.1:1", []],
  ["redis+cluster://ada:s3cret@127.0.0.1:1", []],
  ["redis+sentinel://ada:s3cret@127.0.0.1:1/mymaster?sentinelPassword=s3cret2", []],
  ["postgres://ada:s3cret@127.0.0.1:1/shop", []],
  ["mongodb://ada:s3cret@127.0.0.1:1/shop", ["--collection", "sessions"]],
])("a server that is down has exit code 1 and a reason without the password: %s", async (url, options) => {
  const ran = await tenure(["doctor", ...options], { env: { TENURE_STORE: url } });
  expect(ran).toMatchObject({ code: 1, out: "" });
  expect(ran.err).toMatch(/^tenure: .*\S\n$/);
  expect(ran.err).not.toContain("s3cret");
});

test("if a Sentinel accepts the connection and never replies, the command soon exits with code 1", async () => {
  const silent = createServer((socket) => void socket.on("error", () => undefined).resume());
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const ran = await tenure(["count", "--store", `redis+sentinel://127.0.0.1:${port}/mymaster`]);
  expect(ran).toMatchObject({ code: 1, out: "" });
  silent.close();
});

test("a StoreError whose cause quotes the password is printed without it", async () => {
  const message = (type: string, body: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(4 + body.length);
    return Buffer.concat([Buffer.from(type), length, Buffer.from(body)]);
  };
  const ready = message("Z", "I");
  const refusal = message("E", "SFATAL\0VFATAL\0C53300\0Mtoo many clients of ada:s3cret\0\0");
  // A PostgreSQL that accepts any password and runs only `select 1`, with which the command line connects.
  const proxy = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      if (data[0] === 0) socket.write(Buffer.concat([message("R", "\0\0\0\0"), ready]));
      else if (data.includes("select 1\0")) socket.write(Buffer.concat([message("C", "SELECT 0\0"), ready]));
      else socket.write(Buffer.concat([refusal, ready]));
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const ran = await tenure(["list", "ada", "--store", `postgres://ada:s3cret@127.0.0.1:${port}/shop`]);
  expect(ran).toMatchObject({
    code: 1,
    out: "",
    err: expect.stringContaining("too many clients of ada:***"),
  });
  expect(ran.err).not.toContain("s3cret");
  proxy.close();
});
