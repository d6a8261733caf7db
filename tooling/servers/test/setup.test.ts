import { afterEach, beforeEach, expect, type ProvidedContext, test, vi } from "vitest";
import { server } from "../src/index.ts";
import { required } from "../src/server.ts";
import setup from "../src/setup.ts";

const redis = await server("redis");

beforeEach(() => {
  vi.spyOn(console, "log").mockReturnValue();
  vi.spyOn(console, "error").mockReturnValue();
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

redis.describe("the setup of a project", () => {
  test("uses an address from the environment before anything else, and prints it without the password", async () => {
    vi.stubEnv("TENURE_REDIS_URL", redis.url.replace("//", "//default:@"));
    vi.stubEnv("TENURE_REDIS_IMAGE", NOWHERE);
    expect((await provided({ backends: ["redis"] })).shared?.redis).toEqual({
      url: process.env["TENURE_REDIS_URL"],
      how: expect.stringMatching(/^(Redis|Valkey) \d.*TENURE_REDIS_URL/),
    });
    expect(console.log).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("default:***@"));
  });

  test("does not replace a server that another project has started", async () => {
    const shared = { redis: { url: "redis://127.0.0.1:1", how: "of another project" } };
    expect((await provided({ backends: ["redis"], shared })).shared).toEqual(shared);
    expect(console.log).not.toHaveBeenCalled();
  });
});

test("a missing backend is reported once, and is an error only in a file that uses it if REQUIRE_BACKENDS names it", async () => {
  vi.stubEnv("TENURE_MONGO_URL", "");
  vi.stubEnv("TENURE_MONGO_IMAGE", NOWHERE);
  const { shared, sources } = await provided({ backends: ["mongo"] });
  expect(console.error).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("NO mongo"));
  const missing = { why: expect.stringContaining(NOWHERE) as string };
  for (const found of [shared?.mongo, sources?.mongo]) {
    vi.stubEnv("REQUIRE_BACKENDS", "redis");
    expect(required("mongo", found)).toEqual(missing);
    vi.stubEnv("REQUIRE_BACKENDS", "redis,mongo");
    expect(() => required("mongo", found)).toThrow("REQUIRE_BACKENDS=redis,mongo, but there is no mongo");
  }
});

test("redis in REQUIRE_BACKENDS includes Cluster and Sentinel", () => {
  vi.stubEnv("REQUIRE_BACKENDS", "redis");
  expect(() => required("redis-cluster", { why: "not here" })).toThrow("there is no redis-cluster. not here");
});

test("REQUIRE_BACKENDS may name pgbouncer and pg-native, and an unknown name is an error", () => {
  vi.stubEnv("REQUIRE_BACKENDS", "pgbouncer,pg-native");
  expect(required("redis", { url: "redis://" })).toEqual({ url: "redis://" });
  vi.stubEnv("REQUIRE_BACKENDS", "redis,mongodb");
  expect(() => required("redis", { url: "redis://" })).toThrow("REQUIRE_BACKENDS names mongodb");
});

const NOWHERE = "registry.invalid/nothing:1";

/** Returns the context that the setup provides to tests, added to an earlier context. */
async function provided(before: Partial<ProvidedContext>): Promise<Partial<ProvidedContext>> {
  const context = { ...before };
  const provide = (key: string, value: unknown) => void Object.assign(context, { [key]: value });
  await setup({ getProvidedContext: () => context, vitest: { provide } });
  return context;
}
