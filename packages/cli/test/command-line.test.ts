import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { tenure } from "./tenure.ts";

describe("a wrong command line exits with code 2, prints nothing on stdout and shows no secret:", () => {
  test.each<[title: string, args: string[], says: string]>([
    ["no URL", ["count"], "TENURE_STORE"],
    ["a table in a SQLite file", ["count", "--store", "s3cret.db", "--table", "t"], "has no --table"],
    ["a SQLite store without a file", ["count", "--store", "sqlite://"], "Name the file"],
    ["an unknown scheme", ["count", "--store", "mysql://ada:s3cret@db/shop"], "Unknown kind of store: mysql"],
    ["no scheme", ["count", "--store", "s3cret"], "not the URL"],
    ["Sentinels without a primary", ["count", "--store", "redis+sentinel://:s3cret@a,b"], "Name the primary"],
    ["two hosts for one Redis", ["count", "--store", "redis://:s3cret@a,b"], "takes one host"],
    ["two hosts for PostgreSQL", ["count", "--store", "postgres://ada:s3cret@a,b/shop"], "takes one host"],
    ["an unknown parameter", ["count", "--store", "redis://a?password=s3cret"], "Unknown parameter"],
    ["a database number for a Cluster", ["count", "--store", "redis+cluster://:s3cret@a/1"], "has only 0"],
    ["MongoDB without a database", ["count", "--store", "mongodb://ada:s3cret@db"], "Name the database"],
    ["MongoDB without a collection", ["count", "--store", "mongodb://ada:s3cret@db/shop"], "--collection"],
    ["a table in Redis", ["count", "--store", "redis://:s3cret@a", "--table", "t"], "has no --table"],
    ["a / in a password", ["count", "--store", "postgres://ada:pw/s3cret@db/shop"], "as %2F"],
    ["a ? in a password", ["count", "--store", "redis://:pw?s3cret@db"], "as %2F"],
    ["a URL in place of the command", ["redis://:s3cret@db", "count"], "unknown command"],
    [
      "a token in place of an option",
      ["list", `-${"A".repeat(21)}.s3cret${"B".repeat(37)}`],
      "unknown option",
    ],
    ["an unknown command", ["frobnicate"], "unknown command"],
    ["an unknown option", ["count", "--frob"], "unknown option"],
    ["no user", ["list"], "missing required argument"],
    ["no package to import from", ["import", "--store", "redis://:s3cret@a"], "--from"],
    ["an unknown package to import from", ["import", "--from", "memorystore"], "Allowed choices"],
    [
      "a number without a unit",
      ["count", "--tombstone-minimum", "5"],
      "--tombstone-minimum must be a number with a unit, such as 90s, 30m, 12h or 30d, up to 100 years",
    ],
  ])("%s", async (_title, args, says) => {
    const ran = await tenure(args);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining(says) });
    expect(ran.err).not.toContain("s3cret");
  });
});

test("--help exits with code 0 and describes every command, every kind of URL and the exit codes", async () => {
  const { code, out } = await tenure(["--help"]);
  expect(code).toBe(0);
  for (const word of ["doctor", "migrate", "list", "revoke", "revoke-user", "revoke-all", "sweep", "count"])
    expect(out).toContain(`\n  ${word} `);
  for (const word of ["import", "redis+sentinel://", "redis+cluster://", "postgres://", "mongodb://"])
    expect(out).toContain(word);
  expect(out).toContain("Exit codes:");
});

test("without a command, the exit code is 2 and stderr has the same help", async () => {
  const { out } = await tenure(["--help"]);
  expect(await tenure([])).toEqual({ code: 2, out: "", err: out });
});

test.each([
  ["redis://ada:s3cret@127.0.0.1:1", []],
  ["redis+cluster://ada:s3cret@127.0.0.1:1", []],
  ["redis+sentinel://ada:s3cret@127.0.0.1:1/mymaster?sentinelPassword=s3cret2", []],
  ["postgres://ada:s3cret@127.0.0.1:1/shop", []],
  ["mongodb://ada:s3cret@127.0.0.1:1/shop", ["--collection", "sessions"]],
])(
  "a command exits with code 1 and a reason without the password if the server is down: %s",
  async (url, options) => {
    const ran = await tenure(["doctor", ...options], { env: { TENURE_STORE: url } });
    expect(ran).toMatchObject({ code: 1, out: "" });
    expect(ran.err).toMatch(/^tenure: .*\S\n$/);
    expect(ran.err).not.toContain("s3cret");
  },
);

test("a command exits with code 1 if a Sentinel accepts connections and never replies", async () => {
  const port = await listen(createServer((socket) => void socket.on("error", () => undefined).resume()));
  const ran = await tenure(["count", "--store", `redis+sentinel://127.0.0.1:${port}/mymaster`]);
  expect(ran).toMatchObject({ code: 1, out: "" });
});

test("a StoreError whose cause quotes the password is printed without it", async () => {
  const message = (type: string, body: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(4 + body.length);
    return Buffer.concat([Buffer.from(type), length, Buffer.from(body)]);
  };
  const ready = message("Z", "I");
  const refusal = message("E", "SFATAL\0VFATAL\0C53300\0Mtoo many clients of ada:s3cret\0\0");
  // A PostgreSQL that accepts any password and runs only `select 1`, which the command line sends first.
  const postgres = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      if (data[0] === 0) socket.write(Buffer.concat([message("R", "\0\0\0\0"), ready]));
      else if (data.includes("select 1\0")) socket.write(Buffer.concat([message("C", "SELECT 0\0"), ready]));
      else socket.write(Buffer.concat([refusal, ready]));
    });
  });
  const port = await listen(postgres);
  const ran = await tenure(["list", "ada", "--store", `postgres://ada:s3cret@127.0.0.1:${port}/shop`]);
  expect(ran).toMatchObject({
    code: 1,
    out: "",
    err: expect.stringContaining("too many clients of ada:***"),
  });
  expect(ran.err).not.toContain("s3cret");
});

/** Starts a server that is closed when the test finishes, and returns its port. */
async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
