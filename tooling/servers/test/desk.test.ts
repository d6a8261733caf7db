import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askDesk } from "../src/ask-desk.ts";
import { type Desk, openDesk } from "../src/desk.ts";
import { canStart, server } from "../src/index.ts";

const redis = await canStart("redis");
const shared = await server("redis");

/** A desk of this file's own, beside that of the run. */
let desk: Desk | undefined;

beforeEach(() => {
  // As the desk of the run puts its own port there.
  vi.stubEnv("TENURE_SERVERS_DESK", process.env["TENURE_SERVERS_DESK"]);
  vi.spyOn(console, "log").mockReturnValue();
  vi.spyOn(console, "error").mockReturnValue();
});

afterEach(async () => {
  await desk?.close();
  desk = undefined;
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

shared.describe("the desk", () => {
  test("takes an address from the environment before anything else, and says so without the password", async () => {
    vi.stubEnv("TENURE_REDIS_URL", shared.url.replace("//", "//default:@"));
    vi.stubEnv("TENURE_REDIS_IMAGE", NOWHERE);
    desk = await openDesk();
    await expect(askDesk({ ask: "server", backend: "redis" })).resolves.toMatchObject({
      url: process.env["TENURE_REDIS_URL"],
      how: expect.stringMatching(/^(Redis|Valkey) \d.*TENURE_REDIS_URL/),
    });
    expect(console.log).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("default:***@"));
  });
});

redis.describe("the desk", () => {
  test("starts a server once, however many ask at once", async () => {
    desk = await openDesk();
    const answers = await Promise.all([1, 2, 3].map(() => askDesk({ ask: "server", backend: "redis" })));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]).toHaveProperty("url");
  });
});

test("what can't be had is said when it is first asked for, and counted at the end by the files that wanted it", async () => {
  vi.stubEnv("TENURE_MONGO_URL", "");
  vi.stubEnv("TENURE_MONGO_IMAGE", NOWHERE);
  vi.stubEnv("REQUIRE_BACKENDS", "");
  desk = await openDesk();
  for (const asker of ["one.test.ts", "two.test.ts", "two.test.ts"]) {
    await expect(askDesk({ ask: "server", backend: "mongo", asker })).resolves.toMatchObject({
      why: expect.stringContaining(NOWHERE),
    });
  }
  const cries = (): string[] => vi.mocked(console.error).mock.calls.map(([cry]) => String(cry));
  expect(cries().filter((cry) => cry.includes("NO mongo"))).toHaveLength(1);
  await desk.close();
  desk = undefined;
  expect(cries().at(-1)).toContain("SKIPPED what needs mongo, in 2 test file(s): one.test.ts, two.test.ts");
});

test("what REQUIRE_BACKENDS names and can't be had is an error to the file that wants it", async () => {
  vi.stubEnv("TENURE_MONGO_URL", "");
  vi.stubEnv("TENURE_MONGO_IMAGE", NOWHERE);
  vi.stubEnv("REQUIRE_BACKENDS", "redis,mongo");
  desk = await openDesk();
  for (const ask of ["server", "way"] as const) {
    await expect(askDesk({ ask, backend: "mongo", asker: "one.test.ts" })).rejects.toThrow(
      "REQUIRE_BACKENDS=redis,mongo, but there is no mongo",
    );
  }
});

test("redis in REQUIRE_BACKENDS stands for Cluster and Sentinel too", async () => {
  vi.stubEnv("TENURE_REDIS_IMAGE", NOWHERE);
  vi.stubEnv("REQUIRE_BACKENDS", "redis");
  desk = await openDesk();
  await expect(askDesk({ ask: "way", backend: "redis-cluster", asker: "one.test.ts" })).rejects.toThrow(
    "REQUIRE_BACKENDS=redis, but there is no redis-cluster",
  );
});

test("REQUIRE_BACKENDS may name what tests find for themselves", async () => {
  vi.stubEnv("REQUIRE_BACKENDS", "pgbouncer,pg-native");
  await expect(openDesk().then((opened) => (desk = opened))).resolves.toBeDefined();
});

test("a name that REQUIRE_BACKENDS does not know is refused", async () => {
  vi.stubEnv("REQUIRE_BACKENDS", "redis,mongodb");
  await expect(openDesk()).rejects.toThrow("REQUIRE_BACKENDS names mongodb");
});

const NOWHERE = "registry.invalid/nothing:1";
