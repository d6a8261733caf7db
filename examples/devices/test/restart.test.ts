import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canStart, server, startRedis } from "@tenure/servers";
import { afterAll, describe, expect, test } from "vitest";
import { openStore } from "../src/index.ts";
import { startTestDemo } from "./test-demo.ts";

/** Not the default folder, which a running demo may use. */
const folder = mkdtempSync(join(tmpdir(), "tenure-demo-test-"));
// If root runs the tests, PostgreSQL runs as another user.
chmodSync(folder, 0o711);
process.env["TENURE_DEMO_FOLDER"] = folder;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");
const ownPostgres = await canStart("postgres");
const ownRedis = await canStart("redis");

for (const backend of [redis, postgres, mongo]) {
  backend.describe(`the demo on ${new URL(backend.url).protocol}`, () => keepsSessions(backend.url));
}
describe("the demo on a SQLite file", () => {
  keepsSessions("sqlite");
});
ownPostgres.describe("the demo on the PostgreSQL that comes with it", () => keepsSessions("postgres"));

ownRedis.describe("the demo on a server that stops", () => {
  test("shows an error, logs nobody out, and works again once the server is back", async () => {
    await using own = await startRedis({ args: ["--appendonly", "yes"] });
    await using demo = await startTestDemo(own.url);
    const cookie = await demo.signIn();
    await own.stop();
    const failure = await demo.get(cookie);
    expect(failure.status).toBe(500);
    expect(await failure.text()).toContain("Nobody was logged out");
    expect(failure.headers.getSetCookie()).toEqual([]);
    await own.start();
    await expect.poll(async () => (await demo.get(cookie)).status, { timeout: 60_000 }).toBe(200);
    expect(await demo.headingFor(cookie)).toBe("Your devices");
  });
});

test("if no server listens at the address of --store, the error names the address without its password", async () => {
  for (const scheme of ["redis", "postgres", "mongodb"]) {
    const failure = openStore(`${scheme}://user:hunter2@127.0.0.1:1/base`);
    await expect(failure).rejects.toThrow(`--store ${scheme}://127.0.0.1:1/base cannot be used: `);
    await expect(failure).rejects.not.toThrow("hunter2");
  }
});

function keepsSessions(address: string): void {
  test("after a restart, its users are still logged in, and devices that were logged out still are", async () => {
    const first = await startTestDemo(address);
    const [phone, laptop] = [await first.signIn(), await first.signIn()];
    expect(await first.headingFor(phone)).toBe("Your devices");
    await first[Symbol.asyncDispose]();

    const second = await startTestDemo(address);
    expect(await second.headingFor(phone)).toBe("Your devices");
    expect(await second.headingFor(laptop)).toBe("Your devices");
    await second.post("/log-out-everywhere", laptop);
    await second[Symbol.asyncDispose]();

    await using third = await startTestDemo(address);
    expect(await third.headingFor(phone)).toBe("Who are you?");
    expect(await third.headingFor(laptop)).toBe("Who are you?");
  });

  test("shows in the race that MemoryStore's session comes back and Tenure's does not", async () => {
    await using demo = await startTestDemo(address);
    const page = await (await demo.post("/race")).text();
    expect(page.match(/The session came back|Logged out for good/gu)).toEqual([
      "The session came back",
      "Logged out for good",
    ]);
  });
}
