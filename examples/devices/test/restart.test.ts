import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canStart, server, startRedis } from "@tenure/servers";
import { afterAll, describe, expect, test } from "vitest";
import { openStore } from "../src/index.ts";
import { visitDemo } from "./visit.ts";

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

ownRedis.describe("the demo on a server that dies", () => {
  test("says so, logs nobody out, and goes on when the server is back", async () => {
    await using own = await startRedis({ args: ["--appendonly", "yes"] });
    await using demo = await visitDemo(own.url);
    const cookie = await demo.signIn();
    await own.stop();
    const failure = await demo.get(cookie);
    expect(failure.status).toBe(500);
    expect(await failure.text()).toContain("Nobody was logged out");
    expect(failure.headers.getSetCookie()).toEqual([]);
    await own.start();
    await expect.poll(async () => (await demo.get(cookie)).status, { timeout: 60_000 }).toBe(200);
    expect(await demo.seen(cookie)).toBe("Your devices");
  });
});

test("refuses a server that is not there, in one line without the password", async () => {
  for (const scheme of ["redis", "postgres", "mongodb"]) {
    const failure = openStore(`${scheme}://user:hunter2@127.0.0.1:1/base`);
    await expect(failure).rejects.toThrow(`--store ${scheme}://127.0.0.1:1/base cannot be used: `);
    await expect(failure).rejects.not.toThrow("hunter2");
  }
});

function keepsSessions(address: string): void {
  test("keeps who is logged in, and who was logged out, over a restart", async () => {
    const first = await visitDemo(address);
    const [phone, laptop] = [await first.signIn(), await first.signIn()];
    expect(await first.seen(phone)).toBe("Your devices");
    await first[Symbol.asyncDispose]();

    const second = await visitDemo(address);
    expect(await second.seen(phone)).toBe("Your devices");
    expect(await second.seen(laptop)).toBe("Your devices");
    await second.post("/log-out-everywhere", laptop);
    await second[Symbol.asyncDispose]();

    await using third = await visitDemo(address);
    expect(await third.seen(phone)).toBe("Who are you?");
    expect(await third.seen(laptop)).toBe("Who are you?");
  });

  test("wins the race there too", async () => {
    await using demo = await visitDemo(address);
    const page = await (await demo.post("/race")).text();
    expect(page.match(/The session came back|Logged out for good/gu)).toEqual([
      "The session came back",
      "Logged out for good",
    ]);
  });
}
